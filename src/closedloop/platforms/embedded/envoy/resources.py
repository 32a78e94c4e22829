"""Resources of Envoy: clusters, which are the addresses behind a service; listeners; and routes."""

from collections.abc import Iterable, Mapping, Sequence

from closedloop.platforms.embedded.desired import Route

Address = tuple[str, int]

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


# An idle connection is closed before the server behind it does so, or a request
# sent at that moment fails. The operator's DestinationRule has 60 s, less than the
# executor's 65; of other servers the time is not known, and 5 s are surely less.
EXECUTOR_IDLE, OTHER_IDLE = "60s", "5s"
_NETWORK = "type.googleapis.com/envoy.extensions.filters.network"
_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
# The official client speaks `application/vnd.elasticsearch+json; compatible-with=9`,
# which Elasticsearch understands and servers that only speak its API do not.
_PLAIN_CONTENT_TYPE = r"""
function envoy_on_request(handle)
  for _, name in ipairs({"content-type", "accept"}) do
    local value = handle:headers():get(name)
    if value then
      local plain = value:gsub(
        "application/vnd%.elasticsearch%+([%w%-]+);%s*compatible%-with=%d+", "application/%1")
      if plain ~= value then
        handle:headers():replace(name, plain)
      end
    end
  end
end
"""
NAME = "gateway"
# Istio's retries for a route whose VirtualService is silent (pilot's `retry.go`).
# A plain 503 of the upstream is not retried: Istio leaves it out since 1.24.
_RETRY: Mapping[str, object] = {
    "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/"
                "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 5,
}
_MILLION = 1_000_000


def cluster(host: str, endpoints: Sequence[Address], *, idle: str) -> dict[str, object]:
    """The cluster of a service host; `idle` is how long an unused HTTP connection is kept."""
    return {
        "name": host,
        "type": "STATIC",
        "connect_timeout": "5s",
        "lb_policy": "LEAST_REQUEST",
        "load_assignment": {
            "cluster_name": host,
            "endpoints": [
                {
                    "lb_endpoints": [
                        {"endpoint": {"address": socket_address(address)}} for address in endpoints
                    ]
                }
            ],
        },
        # Envoy's own limit of 3 retries at a time would fail requests when a pod
        # goes under load. Its limit of 1024 connections and as many waiting stays:
        # a mirror that hangs loses copies then, and costs no more.
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "typed_extension_protocol_options": {
            _HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
                "explicit_http_config": {"http_protocol_options": {}},
                "common_http_protocol_options": {"idle_timeout": idle},
            }
        },
    }


def socket_address(address: Address) -> dict[str, object]:
    """An address of TCP."""
    host, port = address
    return {"socket_address": {"address": host, "port_value": port}}


def gateway_listener(address: Address, routes: Mapping[str, object]) -> dict[str, object]:
    """HTTP, with routes from a source of their own, so that changing them touches no connection."""
    return _listener(
        NAME,
        address,
        _http(
            NAME,
            {"rds": {"route_config_name": NAME, "config_source": dict(routes)}},
            filters=[],
            # As Istio's gateway: the client's address in x-forwarded-for, paths normalised.
            use_remote_address=True,
            normalize_path=True,
        ),
    )


def tcp_listener(host: str, address: Address) -> dict[str, object]:
    """Bytes to one of a service's addresses, as a ClusterIP does it."""
    return _listener(
        host,
        address,
        {
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": f"{_NETWORK}.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "service",
                "cluster": host,
            },
        },
    )


def elasticsearch_listener(host: str, address: Address) -> dict[str, object]:
    """HTTP to a server that speaks Elasticsearch's API but not its own content types."""
    lua: dict[str, object] = {
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": f"{_HTTP}.lua.v3.Lua",
            "default_source_code": {"inline_string": _PLAIN_CONTENT_TYPE},
        },
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": host, "timeout": "0s"}}
    return _listener(
        host,
        address,
        _http(
            "elasticsearch",
            {
                "route_config": {
                    "name": host,
                    "virtual_hosts": [{"name": host, "domains": ["*"], "routes": [route]}],
                }
            },
            filters=[lua],
            generate_request_id=False,
        ),
    )


def _http(
    stat_prefix: str,
    routes: Mapping[str, object],
    *,
    filters: list[dict[str, object]],
    **settings: object,
) -> dict[str, object]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_HTTP}.router.v3.Router"},
    }
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_NETWORK}.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": stat_prefix,
            "stream_idle_timeout": "0s",  # a slow answer is the caller's to give up on
            "http_filters": [*filters, router],
            **routes,
            **settings,
        },
    }


def _listener(name: str, address: Address, network_filter: dict[str, object]) -> dict[str, object]:
    return {
        "name": name,
        "address": socket_address(address),
        # Else a second Envoy on the same port would start and share its traffic.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [network_filter]}],
    }


def route_configuration(routes: Iterable[Route]) -> dict[str, object]:
    """All routes for any host; a path that none of them matches is answered 404."""
    return {
        "name": NAME,
        "virtual_hosts": [
            {
                "name": NAME,
                "domains": ["*"],
                "routes": [_route(route) for route in sorted(routes, key=lambda one: one.prefix)],
            }
        ],
    }


def _route(route: Route) -> dict[str, object]:
    action: dict[str, object] = {
        **_destination(route.backends),
        "prefix_rewrite": route.rewrite,
        "timeout": "0s",  # none, as in Istio
        "retry_policy": dict(_RETRY),
    }
    if route.mirror is not None:
        host, percent = route.mirror
        action["request_mirror_policies"] = [
            {
                "cluster": host,
                "runtime_fraction": {
                    "default_value": {
                        "numerator": round(percent * _MILLION / 100),
                        "denominator": "MILLION",
                    }
                },
                # Istio's default since 1.28: the mirror sees the same Host.
                "disable_shadow_host_suffix_append": True,
            }
        ]
    return {"match": {"prefix": route.prefix}, "route": action}


def _destination(backends: tuple[tuple[str, int], ...]) -> dict[str, object]:
    if len(backends) == 1:
        return {"cluster": backends[0][0]}
    clusters = [{"name": host, "weight": weight} for host, weight in backends]
    return {"weighted_clusters": {"clusters": clusters}}
