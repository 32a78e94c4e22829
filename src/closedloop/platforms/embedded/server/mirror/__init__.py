"""The objects that a cluster's controllers and kubelet would write, kept like what runs.

`names` says how what runs is called on a cluster, `pods`, `workloads`, `parts`,
`network` and `happenings` make objects, `statuses` the status of those that
users made, and `keeping` puts all of it into the store.
"""

from closedloop.platforms.embedded.server.mirror.keeping import Mirror

__all__ = ["Mirror"]
