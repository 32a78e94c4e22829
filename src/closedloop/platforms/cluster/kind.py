"""A kind cluster of our own: made, given our images, deleted; never one that we did not make.

Its nodes are ready, with our images, and with pods that run the images of the nodes.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.cluster.commands import CommandFailed, run
from closedloop.platforms.cluster.images import images, tagged
from closedloop.platforms.protocol import PlatformError, Report

NAME = "closedloop"
_CREATE = 900.0  # the node's image is about 400 MB
_STATE = "cluster.json"
_READY = 180.0  # seconds for a node of a new cluster


class Kind:
    """The cluster named `closedloop`; `folder` keeps its kubeconfig and that it is ours."""

    def __init__(self, folder: Path, config: Path, image: str) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._folder, self._config, self._image = folder, config, image

    def exists(self) -> bool:
        """Whether kind knows a cluster of our name, ours or not."""
        try:
            return NAME in run(["kind", "get", "clusters"]).split()
        except CommandFailed as error:
            raise PlatformError(f"{error}: is docker running?") from None

    def is_ours(self) -> bool:
        """Whether it was made from this checkout."""
        return self._state() is not None

    def is_current(self) -> bool:
        """Whether it was made whole, with today's node image and ports."""
        state = self._state() or {}
        return bool(state.get("complete")) and state.get("digest") == self._digest()

    def create(self, await_nodes: Callable[[], None], node: Path | None = None) -> None:
        """Make it, with the node's image from the archive `node` if that is given.

        One of ours that was left half made is removed first. It is complete
        when `await_nodes` has returned: kind itself only warns of a node that
        is not ready in time.

        Raises `PlatformError` for one that is not ours or was made for other
        ports or another version.
        """
        if self.exists():
            if not self.is_ours():
                raise PlatformError(
                    f"a kind cluster named {NAME} is there that was not made from this checkout:"
                    f" delete it with `kind delete cluster --name {NAME}`, or use it with"
                    f" --context kind-{NAME}"
                )
            state = self._state() or {}
            if state.get("complete"):
                if not self.is_current():
                    raise PlatformError(
                        f"the kind cluster {NAME} was made for another version or other ports:"
                        " remove it with `closedloop down --platform cluster` and start again"
                    )
                if not self.kubeconfig.is_file():
                    self._kind("export", "kubeconfig")
                return
            self._kind("delete", "cluster")
        self._write({"complete": False, "digest": self._digest()})
        image = self._image
        if node is not None:
            run(["docker", "load", "--input", str(node)], timeout=_CREATE)
            image = tagged(image)
        self._kind(
            *("create", "cluster", "--config", str(self._config)),
            *("--image", image),
            timeout=_CREATE,
        )
        await_nodes()
        self._write({"complete": True, "digest": self._digest()})

    def delete(self) -> None:
        """Delete it if it is ours; absent is no error."""
        if not self.is_ours():
            return
        self._kind("delete", "cluster", timeout=180)
        for name in (_STATE, self.kubeconfig.name):
            (self._folder / name).unlink(missing_ok=True)

    def load(self, image: str) -> None:
        """Put an image of this machine's docker onto the node."""
        run(["kind", "load", "docker-image", image, "--name", NAME], timeout=_CREATE)

    def load_archives(self, archives: Sequence[Path], report: Report) -> set[str]:
        """Put the images of `docker save` archives onto the node, each once.

        Returns the names of those of which the node had another content
        before: pods that run go on with that.
        """
        loaded = dict(cast(dict[str, dict[str, str]], (self._state() or {}).get("loaded") or {}))
        wanted = {archive: images_of(archive) for archive in archives}
        missing = [archive for archive, has in wanted.items() if loaded.get(archive.name) != has]
        before = {name: content for has in loaded.values() for name, content in has.items()}
        changed: set[str] = set()
        total = sum(archive.stat().st_size for archive in missing)
        done = 0
        for archive in missing:
            size = archive.stat().st_size
            report(f"images: {archive.name} ({size / 1e6:,.0f} MB)", done / total)
            run(["kind", "load", "image-archive", str(archive), "--name", NAME], timeout=_CREATE)
            done += size
            has = wanted[archive]
            changed |= {name for name in has if before.get(name, has[name]) != has[name]}
            loaded[archive.name] = has
            self._write({**(self._state() or {}), "loaded": loaded})
        return changed

    def by_hand(self, node: Path | None = None) -> str:
        """The command with which a person would make it, with the archive `node` if given."""
        create = f"kind create cluster --name {NAME} --config manifests/kind/values-cluster.yaml"
        if node is None:
            return f"{create} --image {self._image}"
        return f"docker load --input {node} && {create} --image {tagged(self._image)}"

    def _kind(self, *arguments: str, timeout: float = 120.0) -> None:
        run(
            ["kind", *arguments, "--name", NAME, "--kubeconfig", str(self.kubeconfig)],
            timeout=timeout,
        )

    def _digest(self) -> str:
        return hashlib.sha256(self._config.read_bytes() + self._image.encode()).hexdigest()

    def _state(self) -> dict[str, object] | None:
        try:
            found: dict[str, object] = json.loads((self._folder / _STATE).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def _write(self, state: dict[str, object]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / _STATE).write_text(json.dumps(state), encoding="utf-8")


def images_of(archive: Path) -> dict[str, str]:
    """The names of the images in a `docker save` archive, with the digest of each one's content.

    Raises `PlatformError` for a file that is none.
    """
    try:
        with tarfile.open(archive) as packed:
            file = packed.extractfile("manifest.json")
            assert file is not None
            listed = json.load(file)
        return {str(tag): str(one["Config"]) for one in listed for tag in one["RepoTags"] or ()}
    except (OSError, tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise PlatformError(
            f"{archive} is no archive of `docker save` ({error}): fill the folder again"
        ) from None


def build(image: str, dockerfile: Path, context: Path, options: Sequence[str] = ()) -> None:
    """Build an image of ours; docker's cache makes it quick when nothing changed."""
    run(
        ["docker", "build", *options, "--tag", image, "--file", str(dockerfile), str(context)],
        timeout=1800,
        # An image and nothing else: kind takes what is said about it for another platform's.
        env={"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"},
    )


def await_nodes(api: Api) -> None:
    """Wait until every node is ready. Raises `PlatformError`."""
    for node in api.list("Node")[0]:
        wait(api, "Node", node["metadata"]["name"], timeout=_READY)


def provide(
    kind: Kind, own: Mapping[str, str], wanted: Collection[str], checkout: Path, report: Report
) -> set[str]:
    """Build those of the images wanted that are our `own`, by their folder under docker/, and put
    them onto the node of a kind cluster; returns their names. Raises `PlatformError`."""
    ours = {folder: image for folder, image in own.items() if image in wanted}
    for folder, image in ours.items():
        report(f"docker build {image}")
        build(image, checkout / "docker" / folder / "Dockerfile", checkout)
        kind.load(image)
    return set(ours.values())


def replace_pods(api: Api, namespaces: Iterable[str], changed: Collection[str]) -> None:
    """Delete the pods of these images, of which a node has another content now: those that their
    workloads make instead run it."""
    for namespace in namespaces if changed else ():
        for pod in api.list("Pod", namespace)[0]:
            if set(changed) & set(images(pod)):
                api.delete("Pod", pod["metadata"]["name"], namespace)
