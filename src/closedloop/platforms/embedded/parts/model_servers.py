"""The model servers' environment and models, prepared once, and the runtime they make."""

import asyncio
import sys

import structlog

from closedloop.machine import write_whole
from closedloop.manifests import load_values
from closedloop.platforms.client.own_models import Source
from closedloop.platforms.embedded.parts.installation import Site
from closedloop.platforms.embedded.parts.model_environment import (
    aside,
    check_model,
    model_environment,
    trained_models,
)
from closedloop.platforms.embedded.reconcile import Runtime, runtime_from
from closedloop.platforms.embedded.run.process import Guardian
from closedloop.platforms.protocol import PlatformError

_log = structlog.get_logger(__name__)

# Where our image for models has its own, and any release of Seldon's examples: they
# are the models that are trained here, each in a folder under that of all.
_OURS = "file:///usr/local/share/closedloop/models"
_FOLDERS = {
    _OURS: ".",
    "gs://seldon-models/*/sklearn/iris": ".",
    **{f"{_OURS}/{name}": name for name in ("diabetes", "breast-cancer")},
}


class Models:
    """The environment and the models that `install("seldon-core")` prepares."""

    def __init__(self, site: Site, guardian: Guardian | None) -> None:
        self._site = site
        self._guardian = guardian
        self._python = ""
        self._models: dict[str, str] = {}
        self._built: dict[str, tuple[str, ...]] = {}  # command lines by image

    async def prepare(self) -> None:
        """Make the environment and train the models, unless they are there.

        Raises `PlatformError`.
        """
        if self._python:
            return
        requirements = self._site.manifests.parent / "docker" / "iris" / "requirements.txt"
        python = await model_environment(self._site.parts, requirements, _log.info, self._guardian)
        folder = await trained_models(python, _log.info, self._guardian)
        self._python = str(python)
        self._models = {uri: str(folder / name) for uri, name in _FOLDERS.items()}

    async def build(self, source: Source) -> None:
        """Make the environment and the copy of a model that its image stands for, and load it once.

        The copy goes with the platform. Raises `PlatformError`.
        """
        images, digest = self._site.folder / "images", source.image.rpartition(":")[2]
        images.mkdir(parents=True, exist_ok=True)
        built = images / digest
        if not built.is_dir():
            async with aside(images, digest) as building:
                await asyncio.to_thread(source.copy_to, building / "model")
                write_whole(building / "requirements.txt", source.lock)
                building.rename(built)
        lock = built / "requirements.txt"
        python = await model_environment(self._site.parts, lock, _log.info, self._guardian)
        try:
            await check_model(python, built / "model", self._guardian)
        except PlatformError as error:
            raise PlatformError(f"{source.folder}: {error}") from None
        serve = ("-m", "closedloop.models.own", str(built / "model"))
        self._built[source.image] = (str(python), *serve)

    def runtime(self) -> Runtime:
        """The interpreters and models there are. Raises `ManifestError` for values gone wrong."""
        manifests = self._site.manifests
        return runtime_from(
            load_values(manifests / "seldon-core" / "values.yaml"),
            load_values(manifests / "versions.yaml"),
            python=sys.executable,
            model_python=self._python,
            models=self._models,
            built=self._built,
            volumes=str(self._site.folder / "volumes"),
        )
