import io
import json
import tarfile
from pathlib import Path

import pytest

from closedloop.paths import manifests_folder
from closedloop.platforms.cluster.kind import Kind, images_of
from closedloop.platforms.cluster.ports import CONFIG
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.stand_ins import StandIns


def archive(path: Path, **contents: str) -> Path:
    """A `docker save` archive that holds images by name, each with the digest of its content."""
    listed = [{"Config": digest, "RepoTags": [f"{name}:1"]} for name, digest in contents.items()]
    text = json.dumps(listed).encode()
    with tarfile.open(path, "w") as packed:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(text)
        packed.addfile(entry, io.BytesIO(text))
    return path


@pytest.fixture
def kind(home: Path, programs: StandIns) -> Kind:
    made = Kind(home / "cluster", manifests_folder() / CONFIG, "node:1@sha256:" + 64 * "a")
    made.create(lambda: None)
    return made


def test_an_archive_says_which_images_it_holds(tmp_path: Path) -> None:
    assert images_of(archive(tmp_path / "a.tar", a="1", b="2")) == {"a:1": "1", "b:1": "2"}


def test_a_file_that_is_no_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("no")
    with pytest.raises(PlatformError, match=r"a\.tar is no archive of `docker save`"):
        images_of(tmp_path / "a.tar")


def test_an_archive_is_loaded_once_and_again_when_its_content_changed(
    kind: Kind, programs: StandIns, tmp_path: Path
) -> None:
    file = archive(tmp_path / "a.tar", a="1", b="1")
    assert kind.load_archives([file], lambda *_: None) == set()
    assert kind.load_archives([file], lambda *_: None) == set()
    assert len(programs.calls("kind load image-archive")) == 1
    archive(file, a="2", b="1")
    assert kind.load_archives([file], lambda *_: None) == {"a:1"}
    assert len(programs.calls("kind load image-archive")) == 2


def test_archives_are_reported_with_their_size_and_the_share_that_is_done(
    kind: Kind, tmp_path: Path
) -> None:
    files = [archive(tmp_path / f"{name}.tar", **{name: "1"}) for name in ("a", "b")]
    told: list[tuple[str, float | None]] = []
    kind.load_archives(files, lambda what, share=None: told.append((what, share)))
    assert told == [("images: a.tar (0 MB)", 0.0), ("images: b.tar (0 MB)", 0.5)]


def test_a_cluster_is_complete_only_when_its_nodes_are_ready(
    home: Path, programs: StandIns
) -> None:
    def never() -> None:
        raise PlatformError("Node x is not Ready after 180 s")

    made = Kind(home / "cluster", manifests_folder() / CONFIG, "node:1")
    with pytest.raises(PlatformError, match="not Ready"):
        made.create(never)
    assert not made.is_current()
    made.create(lambda: None)  # the one left half made is removed first
    assert made.is_current()
    assert len(programs.calls("kind delete cluster")) == 1


def test_the_command_by_hand_is_the_one_that_is_run(home: Path) -> None:
    image = "kindest/node:v1@sha256:" + 64 * "a"
    made = Kind(home / "cluster", manifests_folder() / CONFIG, image)
    assert made.by_hand().endswith(f"--image {image}")
    offline = made.by_hand(Path("folder/node.tar"))
    assert offline.startswith("docker load --input folder/node.tar && kind create cluster")
    assert offline.endswith("--image kindest/node:sha256-" + 32 * "a")
