import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from closedloop.platforms.embedded import state
from closedloop.platforms.embedded.state import DaemonState

STATE = DaemonState(12, "/tmp/kubeconfig", "/tmp/x")


def test_state_is_read_back_and_private(tmp_path: Path) -> None:
    state.write(tmp_path, STATE)
    assert state.read(tmp_path) == STATE
    assert (tmp_path / "daemon.json").stat().st_mode & 0o777 == 0o600
    state.remove(tmp_path)
    assert state.read(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": "x"}', "\ufffd"])
def test_broken_state_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "daemon.json").write_text(content)
    assert state.read(tmp_path) is None


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    first = state.lock(tmp_path)
    assert first
    assert state.lock(tmp_path) is None
    first.close()
    second = state.lock(tmp_path)
    assert second
    second.close()


def test_lock_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = state.lock(tmp_path)
    assert first
    # Let go once it was asked for and not had.
    pause = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: first.close())
    monkeypatch.setattr(state, "time", pause)
    second = state.lock(tmp_path, patience=60)
    assert first.closed
    assert second
    second.close()


def test_whether_the_lock_is_held_can_be_asked(tmp_path: Path) -> None:
    assert not state.held(tmp_path)
    assert list(tmp_path.iterdir()) == []
    first = state.lock(tmp_path)
    assert first
    assert state.held(tmp_path)
    first.close()
    assert not state.held(tmp_path)
