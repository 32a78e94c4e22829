"""Where the suite runs: a Kubernetes cluster, or one machine with real parts."""

from pathlib import Path

from closedloop.platforms.protocol import Platform, PlatformError
from closedloop.proxies import spare_loopback

NAMES = ("embedded", "cluster")


def connect(
    name: str = "embedded",
    *,
    parent_pid: int | None = None,
    context: str | None = None,
    registry: str | None = None,
    offline: Path | None = None,
) -> Platform:
    """The platform of this name, `embedded` or `cluster`; nothing is started by it.

    With `parent_pid` an embedded platform that this client starts ends with
    that process. A cluster is a kind cluster of our own unless `context` names
    one of the kubeconfig; `registry` is a mirror that has every image,
    `offline` a folder with everything; by default they are what
    `$CLOSEDLOOP_CONTEXT`, `$CLOSEDLOOP_REGISTRY` and `$CLOSEDLOOP_OFFLINE` say.
    A proxy of the environment is not asked for what is reached at loopback.
    Raises `PlatformError` for another name.
    """
    spare_loopback()
    # Imported here: each platform has dependencies that the other has not.
    if name == "embedded":
        from closedloop.platforms.embedded.client import EmbeddedPlatform

        return EmbeddedPlatform(parent_pid=parent_pid)
    if name == "cluster":
        from closedloop.platforms.cluster.platform import from_environment

        return from_environment(context=context, registry=registry, offline=offline)
    raise PlatformError(f"there is no platform {name!r}: name one of {', '.join(NAMES)}")
