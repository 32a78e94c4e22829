"""Volumes as folders: the files of ConfigMaps, and the paths by which containers name them.

One machine has no mount namespaces: a process cannot have its own
`/etc/closedloop`. So a volume is a folder of the platform's, and wherever a
container's variables, command or arguments name the path at which it is
mounted, they name that folder instead.
"""

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Mapping

from closedloop.platforms.embedded.desired import File, Files
from closedloop.platforms.embedded.kinds.base import Manifested
from closedloop.platforms.embedded.kinds.pod import Container, PodSpec
from closedloop.platforms.embedded.kinds.volume import ConfigMapSource
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.validation import Path

POD_FOLDER_PLACEHOLDER = "{pod_folder}"
_TEMPORARY = "/tmp"  # noqa: S108 - a path in a manifest, nothing is opened

# The surroundings in which a text is this path and not part of another.
_BEFORE, _AFTER = r"(?<![\w.~)}-])", r"(?![\w.-])"


class Mounts:
    """The folders that stand for the mount paths of one container."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self.folders = folders
        longest_first = sorted(folders, key=len, reverse=True)
        paths = "|".join(re.escape(path) for path in longest_first)
        self._pattern = re.compile(f"{_BEFORE}(?:{paths}){_AFTER}") if folders else None

    def place(self, text: str) -> str:
        """The text with every mount path, and every path below one, as it is on this machine."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self.folders[match.group()], text)

    def unnamed(self, texts: Iterable[str]) -> list[str]:
        """The mount paths that none of these texts names: a program could not find them."""
        said: set[str] = set()
        if self._pattern is not None:
            said = {path for text in texts for path in self._pattern.findall(text)}
        return [path for path in self.folders if path not in said]


def mounts(context: Context, one: Manifested, spec: PodSpec, container: Container) -> Mounts:
    """Where a container's volumes are on this machine.

    Scratch space is a folder of the pod's own, but for that at `/tmp`, which is where it is.
    """
    volumes = {volume.name: volume for volume in spec.volumes}
    folders = {}
    for mount in container.volume_mounts:
        source = volumes[mount.name].config_map
        path = posixpath.normpath(mount.mount_path)
        if source is not None:
            folders[path] = _folder(context, one.namespace, source)
        elif path != _TEMPORARY:
            folders[path] = posixpath.join(POD_FOLDER_PLACEHOLDER, mount.name)
    return Mounts(folders)


def fill(context: Context, one: Manifested, spec: PodSpec) -> tuple[str, ...]:
    """Note the files of a pod's volumes; returns the reasons why a new pod cannot start.

    A pod that runs already goes on with the last files, as on a cluster.
    """
    missing = []
    namespace = one.namespace
    for volume in spec.volumes:
        source = volume.config_map
        if source is None:
            continue
        folder = _folder(context, namespace, source)
        found = context.files(namespace, source.name)
        if found is None and not source.optional:
            missing.append(f"volume {volume.name}: ConfigMap {namespace}/{source.name} not found")
            continue
        absent = [item.key for item in source.items if item.key not in (found or {})]
        if absent and not source.optional:
            what = f"ConfigMap {namespace}/{source.name}"
            missing += [f"volume {volume.name}: {what} has no key {key}" for key in absent]
            continue
        context.folders[folder] = _files(source, found or {})
    return tuple(missing)


def check_named(
    context: Context, one: Manifested, path: Path, there: Mounts, texts: list[str]
) -> None:
    """Refuse a mount path that a container's own texts do not name: nothing would be there."""
    for unnamed in there.unnamed(texts):
        context.fault(
            one,
            (*path, "volumeMounts"),
            f"mount {unnamed}, which no env, command or args of the container names: on one"
            " machine the folder is elsewhere, so give it in one of them",
        )


def _files(source: ConfigMapSource, found: Mapping[str, bytes]) -> Files:
    if not source.items:
        return {key: File(content, source.default_mode) for key, content in found.items()}
    return {
        item.path: File(found[item.key], source.default_mode if item.mode is None else item.mode)
        for item in source.items
        if item.key in found
    }


def _folder(context: Context, namespace: str, source: ConfigMapSource) -> str:
    """One folder for all who mount the same of a ConfigMap; readable, and no two alike."""
    shape = json.dumps(source.model_dump(), sort_keys=True)
    digest = hashlib.sha256(shape.encode()).hexdigest()[:10]
    return posixpath.join(context.runtime.volumes, namespace, f"{source.name}-{digest}")
