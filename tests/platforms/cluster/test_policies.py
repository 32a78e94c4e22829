"""Who may call the pods of others' software: said where all of a namespace is ours."""

import pytest

from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi


def _policies(fake: FakeApi, namespace: str) -> set[str]:
    return {key[2] for key in fake.objects if key[:2] == ("NetworkPolicy", namespace)}


def test_a_part_is_guarded_when_it_is_installed(on_context: Open, fake: FakeApi) -> None:
    on_context().install("monitoring")
    guarded = {"prometheus", "alertmanager", "grafana", "prometheus-operator"}
    assert _policies(fake, "monitoring") == guarded
    assert _policies(fake, "istio-system") == set()
    on_context().down()
    assert _policies(fake, "monitoring") == set()


def test_on_kind_this_machine_is_let_in_besides(on_kind: Open, fake: FakeApi) -> None:
    on_kind().install("knative-eventing")
    assert "from-this-machine" in _policies(fake, "knative-eventing")
    assert "broker-ingress" in _policies(fake, "knative-eventing")


def test_a_namespace_of_others_is_left_open_and_that_is_said(
    on_context: Open, fake: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})
    on_context().install("monitoring")
    assert _policies(fake, "monitoring") == set()
    assert "the namespace monitoring is not ours: its pods stay open" in capsys.readouterr().err
