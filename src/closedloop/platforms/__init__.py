"""Where the suite runs: a Kubernetes cluster, or one machine with real parts."""

from closedloop.platforms.protocol import Platform, PlatformError

NAMES = ("embedded", "cluster")


def connect(name: str = "embedded", *, parent_pid: int | None = None) -> Platform:
    """The platform of this name, `embedded` or `cluster`; nothing is started by it.

    With `parent_pid` an embedded platform that this client starts ends with
    that process. Raises `PlatformError` for another name, or one that is not
    installed.
    """
    # Imported here: each platform has dependencies that the other has not.
    if name == "embedded":
        from closedloop.platforms.embedded.client import EmbeddedPlatform

        return EmbeddedPlatform(parent_pid=parent_pid)
    if name == "cluster":
        raise PlatformError("the cluster platform is not there yet: use embedded")
    raise PlatformError(f"there is no platform {name!r}: name one of {', '.join(NAMES)}")
