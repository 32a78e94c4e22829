from pathlib import Path

from closedloop.services.metrics_server.store.engine import Engine

_MEMORY = 1 << 20


def test_files_opened_again_keep_the_filter(tmp_path: Path) -> None:
    for key in (b"first", b"second"):
        engine = Engine(tmp_path, _MEMORY)
        engine.commit({key: b"value"})
        engine.close()
    *_, latest = sorted(tmp_path.glob("OPTIONS-*"))
    assert "filter_policy=bloomfilter" in latest.read_text()


def test_more_than_its_memory_is_written_while_rows_are_read(tmp_path: Path) -> None:
    engine = Engine(tmp_path, _MEMORY)
    rows = {b"r%05d" % i: bytes(100) for i in range(3000)}
    engine.commit(rows)
    reading = engine.range(b"r")
    first = next(reading)
    for i in range(0, 40_000, 1000):
        engine.commit({b"s%05d" % each: bytes(100) for each in range(i, i + 1000)})
    assert [first, *reading] == sorted(rows.items())
    engine.close()


def test_a_range_is_of_one_prefix_however_long(tmp_path: Path) -> None:
    engine = Engine(tmp_path, _MEMORY)
    engine.commit({b"a1": b"", b"b": b"", b"b1": b"", b"c": b""})
    assert [key for key, _ in engine.range(b"b")] == [b"b", b"b1"]
    assert [key for key, _ in engine.range(b"d")] == []
    assert len([*engine.range(b"")]) == 4
    engine.close()
