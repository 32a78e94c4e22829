"""Volumes of a pod and where its containers find them: scratch space, and a ConfigMap's files."""

import posixpath
from collections.abc import Iterator

from pydantic import Field

from closedloop.platforms.embedded.kinds.base import Fault, Strict
from closedloop.validation import Path


class VolumeMount(Strict, cluster_only="readOnly"):
    """Where a container finds a volume."""

    name: str
    mount_path: str


class KeyToPath(Strict):
    """One key of a ConfigMap, as the file `path` of the volume."""

    key: str
    path: str
    mode: int | None = Field(default=None, ge=0, le=0o777)


class ConfigMapSource(Strict):
    """The keys of a ConfigMap as files: all of them, or those of `items`."""

    name: str
    items: list[KeyToPath] = Field(default=[])
    default_mode: int = Field(default=0o644, ge=0, le=0o777)
    optional: bool = False


class EmptyDir(Strict, cluster_only="sizeLimit medium"):
    """Scratch space; its size and its medium are for a cluster to say."""


class Volume(Strict):
    """Exactly one of scratch space and a ConfigMap's files."""

    name: str
    empty_dir: EmptyDir | None = None
    config_map: ConfigMapSource | None = None


def volume_faults(volumes: list[Volume], path: Path) -> Iterator[Fault]:
    """Rules over several fields of volumes."""
    names: set[str] = set()
    for index, volume in enumerate(volumes):
        at = (*path, index)
        if volume.name in names:
            yield Fault((*at, "name"), f"is {volume.name!r}, which another volume has")
        names.add(volume.name)
        if (volume.empty_dir is None) == (volume.config_map is None):
            yield Fault(at, "must have either emptyDir or configMap")
        if volume.config_map is not None:
            yield from _item_faults(volume.config_map.items, (*at, "configMap", "items"))


def mount_faults(mounts: list[VolumeMount], volumes: list[Volume], path: Path) -> Iterator[Fault]:
    """Rules for the mounts of one container of a pod with these volumes."""
    by_name = {volume.name: volume for volume in volumes}
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        volume = by_name.get(mount.name)
        if volume is None:
            yield Fault((*path, index, "name"), f"is {mount.name!r}: no such volume")
        at = (*path, index, "mountPath")
        folder = posixpath.normpath(mount.mount_path)
        if folder in paths:
            yield Fault(at, f"is {mount.mount_path!r}, where another volume is mounted")
        paths.add(folder)
        if not mount.mount_path.startswith("/") or folder.strip("/") == "":
            yield Fault(at, f"is {mount.mount_path!r}: give an absolute path below /")


def _item_faults(items: list[KeyToPath], path: Path) -> Iterator[Fault]:
    taken: set[str] = set()
    for index, item in enumerate(items):
        at = (*path, index, "path")
        parts = item.path.split("/")
        if item.path.startswith("..") or "" in parts or {".", ".."} & set(parts):
            yield Fault(at, f"is {item.path!r}: give a path inside the volume, without '..'")
        clash = next((one for one in taken if _clash(one, item.path)), None)
        if clash is not None:
            yield Fault(at, f"is {item.path!r}, where {clash!r} of another item is in the way")
        taken.add(item.path)


def _clash(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
