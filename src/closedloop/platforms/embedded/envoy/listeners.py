"""Listeners: the gateway, and one for each port of a Service."""

from collections.abc import Mapping

from closedloop.platforms.embedded.envoy.clusters import Address, socket_address
from closedloop.platforms.embedded.envoy.routes import NAME

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
