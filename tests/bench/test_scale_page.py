import json
from pathlib import Path

import pytest

from bench import _scale_page
from bench._scale_page import Costs, page, read
from bench.unit_costs import PARTS
from closedloop.paths import checkout_root

DOCS = checkout_root() / "docs"


def costs(**measured: float) -> Costs:
    return Costs(measured, {"cpus": 2, "python": "3.11"}, "2026-01-31")


def test_the_page_is_that_of_the_result_beside_it() -> None:
    assert (DOCS / "scale.md").read_text() == page(read(DOCS / "scale.json"))


def test_every_part_that_is_measured_is_on_the_page() -> None:
    assert PARTS.keys() == _scale_page._NAMES.keys() == _scale_page._TURN.keys()


def test_cores_of_the_busiest_second() -> None:
    # 86.4 million a day are 1000 a second, 3000 in the busiest; 700 µs each are 2.1 s of CPU
    # a second, and a core gives 0.7 of one.
    found = costs(model_cpu_us=700)
    assert found.cores("model", 86_400_000) == pytest.approx(3.0)
    assert found.full_at("model") == pytest.approx(28_800_000)


def test_bytes_kept() -> None:
    found = costs(broker_bytes=10, elasticsearch_bytes=100)
    assert found.kept("broker", 1000) == 10_000
    assert found.kept("elasticsearch", 1000) == 100 * 1000 * 30 * 2


def test_the_newest_result_with_unit_costs_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = json.loads((DOCS / "scale.json").read_text())
    (tmp_path / "docs").mkdir()
    for name, results in (("1", kept["results"]), ("2", {"restore": {"rate": 1.0}})):
        file = tmp_path / "out" / f"bench-{name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({**kept, "results": results, "failed": {}}))
    monkeypatch.setattr(_scale_page, "checkout_root", lambda: tmp_path)
    assert _scale_page.main([]) == 0
    assert (tmp_path / "docs" / "scale.md").read_text() == (DOCS / "scale.md").read_text()
