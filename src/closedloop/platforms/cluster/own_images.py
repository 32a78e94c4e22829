"""The image of a model of one's own: built by docker, tried, and pushed or put onto kind's node."""

import os
import shutil
import tempfile
from pathlib import Path

import closedloop
from closedloop.platforms.client.own_models import Source
from closedloop.platforms.cluster.commands import CommandFailed, run
from closedloop.platforms.cluster.images import mirrored
from closedloop.platforms.cluster.kind import Kind, build
from closedloop.platforms.protocol import PlatformError

_FOLDER = Path("docker") / "model"
_PUSH = 1800.0
_TRY = 180.0
# Not of the package in an image: a wheel's copy of the checkout.
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "checkout")
# Indices and proxies, of which a build is told where the environment has them.
_TOLD = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


def provide(source: Source, root: Path, kind: Kind | None, registry: str, mirror: str) -> str:
    """The image of a model, where the nodes find it, by the name that a manifest has for it.

    It is pushed to `registry`, or to the `mirror` from which the image of every pod is
    taken; without either it is put onto the node of a `kind` cluster of ours.
    Raises `PlatformError`.
    """
    if kind is None and not (registry or mirror):
        raise PlatformError(
            f"the image of {source.folder} has to be where the nodes of this cluster pull from:"
            " name a registry that you may push to, by the parameter registry"
        )
    name = source.image if mirror else mirrored(source.image, registry)
    image = mirrored(name, mirror)
    _make(source, image, root)
    if kind is None or registry or mirror:
        _push(image)
    else:
        kind.load(image)
    return name


def _make(source: Source, image: str, root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="closedloop-image-") as name:
        context = Path(name)
        source.copy_to(context / "model")
        (context / "requirements.txt").write_text(source.lock, encoding="utf-8")
        package = Path(closedloop.__file__).parent
        shutil.copytree(package, context / "closedloop", ignore=_LEFT_OUT)
        for path in context.rglob("*"):  # any user of a pod may read them
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o644))
        told = [f"--build-arg={each}" for each in _TOLD if os.environ.get(each)]
        build(image, root / _FOLDER / "Dockerfile", context, told)
    _try(source, image)


def _push(image: str) -> None:
    try:
        run(["docker", "push", image], timeout=_PUSH)
    except CommandFailed as error:
        raise PlatformError(
            f"{error}: log in with `docker login`, or name another registry"
        ) from None


def _try(source: Source, image: str) -> None:
    check = ("python", "-m", "closedloop.models.own", "--check", "/model")
    alone = ("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp")  # noqa: S108
    try:
        run(["docker", "run", *alone, image, *check], timeout=_TRY)
    except CommandFailed as error:
        lines = error.stderr.strip().splitlines()
        raise PlatformError(f"{source.folder}: {lines[-1] if lines else error}") from None
