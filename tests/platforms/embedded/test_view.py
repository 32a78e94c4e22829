from pathlib import Path
from types import SimpleNamespace
from typing import Any

from closedloop.platforms.embedded import view


def _platform(model_python: Path, *workloads: Any) -> Any:
    runtime = SimpleNamespace(model_python=str(model_python), seldon_version="of the cluster")
    return SimpleNamespace(
        running=SimpleNamespace(parts={}, part_pods={}, workloads=dict(enumerate(workloads))),
        urls=SimpleNamespace(elsewhere={}, url_of=lambda *_: ""),
        installation=SimpleNamespace(installed={"seldon-core"}),
        desired=SimpleNamespace(services=()),
        models=SimpleNamespace(runtime=lambda: runtime),
    )


def _workload(owner: str) -> Any:
    return SimpleNamespace(
        name="ns/a", owner=owner, target=(), pods=(), updated=(), waits_for=(), settled=True
    )


def test_version_of_seldon_core_is_the_one_that_serves_the_models(tmp_path: Path) -> None:
    info = tmp_path / "lib" / "python3.11" / "site-packages" / "seldon_core-1.2.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: seldon-core\nVersion: 1.2.3\n")
    model = _workload("SeldonDeployment/ns/a")
    rows = view.rows(_platform(tmp_path / "bin" / "python", model))
    assert [row.version for row in rows] == ["1.2.3", "1.2.3"]
