import base64
from pathlib import Path

from closedloop.suite.watch import Watch

PNG = base64.b64decode("iVBORw0KGgo=")


def test_a_picture_is_kept_as_it_is_drawn_and_told_once(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    assert "<img" not in (tmp_path / "index.html").read_text()
    assert watch.picture(["hide-input", "figure-falling"], PNG).startswith("picture after 0 s: ")
    assert watch.picture(["figure-falling"], PNG + b"more") == ""
    assert (tmp_path / "figures" / "falling.png").read_bytes() == PNG + b"more"
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["falling.png"]


def test_the_page_shows_the_newest_first_and_looks_again_by_itself(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    for name in ("first", "second"):
        watch.picture([f"figure-{name}"], PNG)
    page = (tmp_path / "index.html").read_text()
    assert page.index("figures/second.png") < page.index("figures/first.png")
    assert '<meta http-equiv="refresh" content="2">' in page


def test_a_picture_without_a_name_waits_for_the_report(tmp_path: Path) -> None:
    assert Watch(tmp_path).picture(["hide-input"], PNG) == ""
    assert not (tmp_path / "figures").exists()
