from pathlib import Path

import pytest

from closedloop import paths
from closedloop.suite import SuiteError
from closedloop.suite.export import CARRIED, write_checkout


def test_what_is_written_out_is_a_checkout_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = paths.checkout_root()
    mine = tmp_path / "mine"
    assert list(write_checkout(root, mine)) == [mine / name for name in CARRIED]
    for name in ("manifests/dashboards/accuracy.yaml", "notebooks/test-parameters.yaml"):
        assert (mine / name).read_bytes() == (root / name).read_bytes()
    assert not list(mine.rglob(".ipynb_checkpoints"))
    monkeypatch.delenv("CLOSEDLOOP_ROOT", raising=False)
    monkeypatch.chdir(mine / "notebooks")
    assert paths.checkout_root() == mine.resolve()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(SuiteError, match="is not empty"):
        list(write_checkout(paths.checkout_root(), tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
