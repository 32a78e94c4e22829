from pathlib import Path

import pytest

from closedloop.paths import manifests_folder
from closedloop.platforms.client.own_models import Source
from closedloop.platforms.embedded.parts.installation import Site
from closedloop.platforms.embedded.parts.model_servers import Models
from closedloop.platforms.embedded.reconcile.runtime import Unsupported
from closedloop.platforms.protocol import PlatformError

IMAGE = "closedloop/model-mine:0123456789ab"


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(Site(manifests_folder(), tmp_path / "parts", tmp_path / "platform"), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "Mine.py").write_text("class Mine:\n    def predict(self, features): ...\n")
    return made


async def test_an_image_is_a_copy_of_the_folder_and_an_environment_of_its_requirements(
    models: Models, folder: Path
) -> None:
    with pytest.raises(Unsupported, match=r"`build` made of a folder"):
        models.runtime().own_model(IMAGE)
    await models.build(Source(folder, IMAGE, "# nothing\n"))
    python, *serve, copy = models.runtime().own_model(IMAGE)
    assert serve == ["-m", "closedloop.models.own"]
    (folder / "Mine.py").unlink()
    assert (Path(copy) / "Mine.py").is_file()
    other = Source(folder, IMAGE.replace("0", "1"), "six==1.17.0 ; sys_platform == 'win32'\n")
    (folder / "Mine.py").write_text("class Mine:\n    def predict(self, features): ...\n")
    await models.build(other)
    assert models.runtime().own_model(other.image)[0] != python


async def test_a_class_that_does_not_load_is_one_sentence(models: Models, folder: Path) -> None:
    (folder / "Mine.py").write_text("import numpy\nclass Mine: ...\n")
    with pytest.raises(PlatformError) as info:
        await models.build(Source(folder, IMAGE, "# nothing\n"))
    assert str(info.value) == (
        f"{folder}: the model needs numpy, which is not installed: name the package that"
        " brings it in requirements.txt"
    )
    with pytest.raises(Unsupported):
        models.runtime().own_model(IMAGE)
