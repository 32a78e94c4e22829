"""A proxy of the environment is for other machines: services of this one are reached without it.

Most platforms are reached at 127.0.0.1. Where HTTP_PROXY is set and NO_PROXY is
not, `requests` and others would ask the proxy for it, which says 403.
"""

import os
from collections.abc import MutableMapping

# Not every program knows networks, so the usual address is named besides; `.svc` is for
# names of Services where a cluster's DNS is in use.
DIRECT = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1", ".svc", ".cluster.local")


def spare_loopback(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have this process, and all that it starts from now on, reach loopback directly.

    NO_PROXY and no_proxy both get it, since some programs read the one and some
    the other; the hosts in them stay.
    """
    upper, lower = environment.get("NO_PROXY", ""), environment.get("no_proxy", "")
    for name, said in (("NO_PROXY", upper or lower), ("no_proxy", lower or upper)):
        entries = [entry.strip() for entry in said.split(",") if entry.strip()]
        if "*" not in entries:
            entries += [entry for entry in DIRECT if entry not in entries]
        environment[name] = ",".join(entries)
