"""The objects that a cluster's controllers and kubelet would write, kept like what runs.

`cluster`, `workloads`, `pods` and `network` make objects, `status` the status of those that
users made; `following` and `keeping` bring all of it into the store.
"""

from closedloop.platforms.embedded.server.mirror.keeping import Mirror

__all__ = ["Mirror"]
