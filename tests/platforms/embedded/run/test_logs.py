from pathlib import Path

from closedloop.platforms.embedded.run import logs


def test_tail_reads_across_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("a") as stream:
        stream.write("one\ntwo\n")
        stream.flush()
        assert logs.rotate(log, limit=3)
        stream.write("three\n")
    assert log.read_text() == "three\n"
    assert logs.tail(log, 2) == "two\nthree"


def test_small_or_absent_log_is_not_rotated(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    assert not logs.rotate(log)
    log.write_text("one\n")
    assert not logs.rotate(log)
    assert logs.tail(log, 10) == "one"


def test_tail_of_nothing(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "absent.log", 5) == ""
    assert logs.tail(tmp_path / "absent.log", 0) == ""


def test_bytes_that_are_no_text_do_not_hurt(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"\xff\xfe bad\n")
    assert "bad" in logs.tail(log, 1)
