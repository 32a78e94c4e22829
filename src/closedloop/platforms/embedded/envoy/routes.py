"""Routes of the gateway: prefix, rewrite, weights, mirror, and Istio's default retries."""

from collections.abc import Iterable, Mapping

from closedloop.platforms.embedded.desired import Route

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
