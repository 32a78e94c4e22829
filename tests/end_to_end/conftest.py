import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from closedloop.paths import checkout_root, parts_folder
from closedloop.platforms.embedded.client import EmbeddedPlatform
from closedloop.suite.setup import install_everything
from tests.attempts import set_up
from tests.end_to_end.loop import Loop
from tests.sharing import until_its_last_test


@pytest.fixture(scope="session")
def shared_parts(model_python: Path) -> Path:
    """What is installed once serves every platform."""
    return parts_folder()


@pytest.fixture(scope="session")
def _whole_loop(tmp_path_factory: pytest.TempPathFactory, shared_parts: Path) -> Iterator[Loop]:
    home = tmp_path_factory.mktemp("end to end") / "a home"
    home.mkdir()
    (home / "parts").symlink_to(shared_parts)
    root = checkout_root()
    # The client keeps what it reads of these; other tests must not see them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOSEDLOOP_ROOT", str(root))
        patch.setenv("CLOSEDLOOP_HOME", str(home))
        patch.delenv("CLOSEDLOOP_ELASTICSEARCH_URL", raising=False)
        platform = EmbeddedPlatform(parent_pid=os.getpid())
        until_its_last_test("_whole_loop", platform.down)
        set_up(
            "the platform of the whole loop",
            lambda: install_everything(platform, lambda *_: None),
            platform.down,
        )
    try:
        server = yaml.safe_load((root / "manifests/metrics-server/deployment.yaml").read_text())
        (container,) = server["spec"]["template"]["spec"]["containers"]
        # Else a test would wait a quarter of a minute for each comparison with the log.
        container["env"].append({"name": "RESYNC_SECONDS", "value": "1"})
        platform.apply("metrics-server")
        platform.apply(server, "models/sklearn.yaml", "models/iris-perf-shadow.yaml")
        platform.wait("Deployment", "seldon-metrics-server", "seldon-logs", condition="Available")
        for name in ("sklearn", "iris-perf"):
            platform.wait("SeldonDeployment", name, "seldon", timeout=300)
        yield Loop(platform, home)
    finally:
        platform.down()


@pytest.fixture
def loop(_whole_loop: Loop) -> Loop:
    """The one platform of this folder, everything on it ready."""
    _whole_loop.ready()
    return _whole_loop
