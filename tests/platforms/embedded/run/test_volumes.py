"""Files of a volume change at once, and only when there is something to change."""

import os
import threading
from pathlib import Path

from closedloop.platforms.embedded.desired import File
from closedloop.platforms.embedded.run.volumes import write


def content(folder: Path) -> dict[str, str]:
    """What a program sees that lists the folder as one does on a cluster."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def state(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def test_files_appear_change_and_go(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "volume"
    write(folder, {})
    assert content(folder) == {}
    write(folder, {"one": File(b"1"), "deep/two": File(b"2")})
    assert content(folder) == {"one": "1"}
    assert (folder / "deep" / "two").read_text() == "2"
    write(folder, {"one": File(b"11"), "three": File(b"3")})
    assert content(folder) == {"one": "11", "three": "3"}
    assert not (folder / "deep").exists()
    # As the kubelet has it, and nothing of before.
    assert len(list(folder.iterdir())) == len(["..data", "..<moment>", "one", "three"])


def test_the_same_again_touches_nothing(tmp_path: Path) -> None:
    files = {"one": File(b"1"), "deep/two": File(b"2", 0o400)}
    write(tmp_path, files)
    before = state(tmp_path)
    write(tmp_path, files)
    assert state(tmp_path) == before
    write(tmp_path, files | {"one": File(b"1", 0o400)})
    assert state(tmp_path) != before


def test_nobody_may_write_to_a_mounted_file(tmp_path: Path) -> None:
    write(tmp_path, {"one": File(b"1", 0o666)})
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o444


def test_whose_pod_it_is_reads_whatever_the_mode(tmp_path: Path) -> None:
    write(tmp_path, {"one": File(b"1", 0)})
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o400


def test_a_reader_sees_all_of_before_or_all_of_after(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"0"), "b": File(b"0")})
    done = threading.Event()
    seen = []

    def read() -> None:
        while not done.is_set():
            # Whoever wants one moment opens `..data` once, as on a cluster.
            moment = os.open(tmp_path / "..data", os.O_RDONLY | os.O_DIRECTORY)
            try:
                texts = [_read(moment, name) for name in ("a", "b")]
            except FileNotFoundError:
                continue  # replaced meanwhile: the next try has the next moment
            finally:
                os.close(moment)
            seen.append(texts)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(1, 200):
            text = str(number).encode()
            write(tmp_path, {"a": File(text), "b": File(text)})
    finally:
        done.set()
        reader.join()
    assert seen
    assert all(a == b for a, b in seen)


def _read(folder: int, name: str) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as stream:
        return stream.read()


def test_a_change_that_failed_half_way_is_made_the_next_time(tmp_path: Path) -> None:
    write(tmp_path, {"one": File(b"1")})
    (tmp_path / "one").unlink()  # the links were not all made when the disk was full
    write(tmp_path, {"one": File(b"1")})
    assert content(tmp_path) == {"one": "1"}
