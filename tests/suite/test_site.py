import json
from pathlib import Path

import pytest
from nbformat.v4 import new_output

from closedloop.notebook.display import show
from closedloop.paths import checkout_root
from closedloop.suite import SuiteError
from closedloop.suite.site import write_site
from tests.suite.fakes import code, notebook
from tests.suite.links import broken
from tests.suite.test_slides import PIXEL

ORIGINALS = checkout_root() / "notebooks"
RUN = {
    "platform": "cluster",
    "started": "2026-05-01T12:30:00+00:00",
    "seconds": 340.0,
    "results": {},
    "notebooks": [{"notebook": "01_a", "state": "ok"}, {"notebook": "02_b", "state": "failed"}],
    "parts": [{"part": "istio-system/istiod", "version": "1.30.3"}, {"part": "x", "version": ""}],
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ORIGINALS)
    folder = tmp_path / "run"
    drawn = code("plt.plot()", "figure-curve")
    drawn.outputs = [new_output("display_data", data={"image/png": PIXEL.hex()})]
    shown = code("show('istio/gateway.yaml', 'spec')")
    data = {"text/html": show("istio/gateway.yaml", "spec")._repr_html_()}
    shown.outputs = [new_output("display_data", data=data)]
    picture = "# ![x](../img/custom-stateful.png)\n\n[more](../docs/losses.md)"
    notebook(folder / "01_a.ipynb", "# The first\n\nIt *begins*.", drawn, picture)
    notebook(folder / "02_b.ipynb", "# The second", shown)
    (folder / "run.json").write_text(json.dumps(RUN))
    return folder


def test_every_link_of_it_is_whole(run: Path, tmp_path: Path) -> None:
    index = write_site(run, tmp_path / "site", ORIGINALS)
    assert broken(tmp_path / "site") == []
    named = index.read_text()
    for page in ("01_a.html", "02_b.html", "slides/01_a.slides.html", "figures/curve.png"):
        assert f'"{page}"' in named
    assert 'href="02_b.html"' in (tmp_path / "site" / "01_a.html").read_text()


def test_a_link_that_leads_nowhere_is_found(run: Path, tmp_path: Path) -> None:
    write_site(run, tmp_path / "site", ORIGINALS)
    (tmp_path / "site" / "02_b.html").unlink()
    (tmp_path / "site" / "figures" / "curve.png").unlink()
    assert sorted(broken(tmp_path / "site")) == [
        "01_a.html: 02_b.html",
        "index.html: 02_b.html",
        "index.html: figures/curve.png",
    ]


def test_it_says_when_where_and_with_which_versions(run: Path, tmp_path: Path) -> None:
    text = write_site(run, tmp_path / "site", ORIGINALS).read_text()
    for said in ("cluster", "2026-05-01", "istio-system/istiod", "1.30.3", "<em>begins</em>"):
        assert said in text
    assert "failed" in text


def test_nothing_is_overwritten(run: Path) -> None:
    with pytest.raises(SuiteError, match="is not empty"):
        write_site(run, run, ORIGINALS)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"run\.json"):
        write_site(tmp_path, tmp_path / "site", ORIGINALS)
