import shutil
from pathlib import Path

import pytest

from closedloop.paths import checkout_root
from closedloop.platforms.client import own_models
from closedloop.platforms.client.own_models import Source
from closedloop.platforms.cluster import own_images
from closedloop.platforms.cluster.kind import Kind
from closedloop.platforms.cluster.platform import ClusterPlatform
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.stand_ins import StandIns

ROOT = checkout_root()
MODEL = ROOT / "examples" / "tumour" / "all-measurements"
IMAGE = "closedloop/model-all-measurements:0123456789ab"
SOURCE = Source(MODEL, IMAGE, "scikit-learn==1.9.1\n")


def test_on_kind_it_is_built_tried_and_loaded(
    on_kind: Open, programs: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_models, "_resolved", lambda *_: "scikit-learn==1.9.1\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    image = on_kind().build(MODEL)
    assert image.startswith("closedloop/model-all-measurements:")
    (built,) = programs.calls("docker build")
    assert "--build-arg=PIP_INDEX_URL " in built
    assert f"--tag {image} --file {ROOT / 'docker' / 'model' / 'Dockerfile'} " in built
    (tried,) = programs.calls("docker run")
    assert tried.endswith(f"{image} python -m closedloop.models.own --check /model")
    assert programs.calls(f"kind load docker-image {image}")
    assert programs.calls("docker push") == []


@pytest.mark.parametrize(
    ("registry", "mirror", "name", "pushed"),
    [
        ("r.example/team", "", f"r.example/team/{IMAGE}", f"r.example/team/{IMAGE}"),
        ("", "mirror.example", IMAGE, f"mirror.example/{IMAGE}"),
        ("r.example", "mirror.example", IMAGE, f"mirror.example/{IMAGE}"),
    ],
)
def test_for_other_clusters_it_is_pushed_to_where_the_nodes_pull(
    registry: str, mirror: str, name: str, pushed: str, programs: StandIns
) -> None:
    assert own_images.provide(SOURCE, ROOT, None, registry, mirror) == name
    (built,) = programs.calls("docker build")
    assert f"--tag {pushed} " in built
    assert programs.calls(f"docker push {pushed}")


def test_a_cluster_of_others_needs_a_registry(programs: StandIns) -> None:
    with pytest.raises(PlatformError, match=r"pull from: name a registry .* parameter registry"):
        own_images.provide(SOURCE, ROOT, None, "", "")
    assert programs.calls("docker") == []


def test_a_model_that_does_not_load_is_the_sentence_of_its_image(programs: StandIns) -> None:
    programs.fail("docker run", "WARNING: noise\nthe model needs six: name what brings it")
    with pytest.raises(PlatformError) as info:
        own_images.provide(SOURCE, ROOT, None, "r.example", "")
    assert str(info.value) == f"{MODEL}: the model needs six: name what brings it"
    assert programs.calls("docker push") == []


def test_what_is_built_is_readable_for_the_pods_user(
    programs: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(MODEL, mine)
    (mine / "output.yaml").chmod(0o600)
    seen: dict[str, int] = {}

    def build(image: str, dockerfile: Path, context: Path, options: object) -> None:
        for path in context.rglob("*"):
            seen[str(path.relative_to(context))] = path.stat().st_mode & 0o777

    monkeypatch.setattr(own_images, "build", build)
    own_images.provide(Source(mine, IMAGE, ""), ROOT, None, "r.example", "")
    assert seen["model/output.yaml"] == 0o644
    assert seen["requirements.txt"] == 0o644
    assert seen["closedloop/models"] == 0o755
    assert "closedloop/models/own.py" in seen
    assert not [name for name in seen if "__pycache__" in name or "checkout" in name]


def test_a_program_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(ClusterPlatform()._target.kind, Kind)
    with pytest.raises(PlatformError, match="docker is not on PATH: install it"):
        own_images.provide(SOURCE, ROOT, None, "r.example", "")
