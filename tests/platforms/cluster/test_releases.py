import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster.helm import Helm, Release, newest
from closedloop.platforms.cluster.platform import from_environment
from tests.platforms.cluster.fake_api import FakeApi
from tests.platforms.cluster.stand_ins import StandIns


@pytest.fixture
def api(fake: FakeApi, tmp_path: Path) -> Api:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(json.dumps(fake.kubeconfig()))
    return Api(kubeconfig)


def _keep(fake: FakeApi, revision: int, *, config: object = None, data: bytes = b"") -> None:
    """A revision of the release `istiod` as helm 3 and 4 keep it."""
    said = {
        "name": "istiod",
        "info": {"status": "deployed" if revision == 10 else "superseded"},
        "chart": {"metadata": {"name": "istiod", "version": f"1.30.{revision}"}},
        "config": config,
        "version": revision,
    }
    once = base64.b64encode(data or gzip.compress(json.dumps(said).encode()))
    labels = {"owner": "helm", "name": "istiod", "version": str(revision)}
    name = f"sh.helm.release.v1.istiod.v{revision}"
    metadata: dict[str, Any] = {"name": name, "namespace": "istio-system", "labels": labels}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
    fake.put({**secret, "data": {"release": base64.b64encode(once).decode()}})


def test_the_newest_revision_is_read_without_helm(
    api: Api, fake: FakeApi, programs: StandIns
) -> None:
    _keep(fake, 9, config={"a": 1})
    _keep(fake, 10, config={"a": 2})
    found = newest(api, Helm(), "istiod", "istio-system")
    assert found == Release("istiod", "1.30.10", "deployed", {"a": 2})
    assert not programs.calls("helm")


def test_a_release_without_values_of_its_own_has_none(
    api: Api, fake: FakeApi, programs: StandIns
) -> None:
    _keep(fake, 10)
    found = newest(api, Helm(), "istiod", "istio-system")
    assert found is not None
    assert found.values == {}
    assert not programs.calls("helm")


@pytest.mark.parametrize("data", [None, b"no JSON at all", gzip.compress(b'{"chart": 1}', mtime=0)])
def test_helm_is_asked_for_what_it_keeps_otherwise(
    api: Api, fake: FakeApi, programs: StandIns, data: bytes | None
) -> None:
    if data is not None:
        _keep(fake, 1, data=data)
    assert newest(api, Helm(), "istiod", "istio-system") is None
    assert len(programs.calls("helm get")) == 2


@pytest.mark.cluster
@pytest.mark.skipif(
    not os.environ.get("KUBECONFIG"), reason="KUBECONFIG names no Kubernetes API server"
)
def test_it_says_what_helm_says() -> None:
    api, helm = Api(), Helm()
    target = from_environment()._target
    charts = [chart for part in target.versions.parts.values() for chart in part.charts]
    compared = 0
    for chart in charts:
        said = helm.release(chart.release, chart.namespace)
        if said is not None:
            assert newest(api, helm, chart.release, chart.namespace) == said
            compared += 1
    if not compared:
        pytest.skip("no chart is installed: `closedloop up --platform cluster` first")
