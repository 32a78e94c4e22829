import base64
from pathlib import Path

import pytest
from nbformat.v4 import new_output

from closedloop.figures.__main__ import main, write_pictures
from closedloop.suite import SuiteError
from tests.suite.fakes import code, notebook


def run_folder(path: Path) -> Path:
    cells = [code("plot()", "figure-accuracy"), code("plot()")]
    for cell in cells:
        cell.outputs = [
            new_output("display_data", data={"image/png": base64.b64encode(b"png").decode()})
        ]
    notebook(path / "03_a.ipynb", *cells)
    return path


def test_writes_the_diagrams_and_what_is_tagged(tmp_path: Path) -> None:
    files = write_pictures(run_folder(tmp_path), tmp_path / "img")
    assert [file.name for file in files] == [
        "custom-stateful.png",
        "standard-server.png",
        "accuracy.png",
    ]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert files[2].read_bytes() == b"png"


def test_other_pictures_stay(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "comparison.png").write_bytes(b"old")
    write_pictures(run_folder(tmp_path), tmp_path / "img")
    assert (tmp_path / "img" / "comparison.png").read_bytes() == b"old"


def test_a_folder_that_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SuiteError, match="holds no notebook"):
        write_pictures(tmp_path, tmp_path / "img")
    assert main([str(tmp_path)]) == 1
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
