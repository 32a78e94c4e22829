"""Clusters: the addresses that answer for a service."""

from collections.abc import Sequence

Address = tuple[str, int]

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


# An idle connection is closed before the server behind it does so, or a request
# sent at that moment fails. The operator's DestinationRule has 60 s, less than the
# executor's 65; of other servers the time is not known, and 5 s are surely less.
EXECUTOR_IDLE, OTHER_IDLE = "60s", "5s"


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
