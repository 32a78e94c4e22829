"""From manifests to what should run on one machine, and to the configuration of its parts.

All of it is pure: objects in, plain data out. `desired` is the way in; `xds`,
`prometheus` and `alertmanager` render configuration from its result.
"""

from closedloop.platforms.embedded.reconcile.assemble import desired
from closedloop.platforms.embedded.reconcile.read import read
from closedloop.platforms.embedded.reconcile.runtime import Runtime, runtime_from
from closedloop.platforms.embedded.reconcile.urls import UrlOf

__all__ = ["Runtime", "UrlOf", "desired", "read", "runtime_from"]
