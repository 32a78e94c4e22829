from typing import Any

import pytest

from closedloop.platforms.client.api import Api
from closedloop.platforms.protocol import PlatformError
from tests.platforms.cluster.conftest import Open
from tests.platforms.cluster.fake_api import FakeApi

BROKER = "knative-eventing/broker.yaml"
SETTING = "CLOSEDLOOP_CHANNEL"


@pytest.fixture
def jetstream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that has the kind, which the setting names."""
    known = Api.knows

    def knows(api: Api, kind: str, api_version: str = "") -> bool:
        return kind == "NatsJetStreamChannel" or known(api, kind, api_version)

    monkeypatch.setattr(Api, "knows", knows)
    monkeypatch.setenv(SETTING, "NatsJetStreamChannel")


def _config(fake: FakeApi) -> Any:
    broker = fake.get("Broker", "default", "seldon-logs")
    assert broker is not None
    return broker["spec"].get("config")


def test_by_default_it_is_in_memory(on_kind: Open, fake: FakeApi) -> None:
    on_kind().apply("namespaces", BROKER)
    assert _config(fake) is None
    assert "broker-channel" not in fake.names("ConfigMap")


def test_the_setting_names_a_durable_channel(on_kind: Open, fake: FakeApi, jetstream: None) -> None:
    on_kind().apply("namespaces", BROKER)
    assert _config(fake) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "broker-channel",
        "namespace": "seldon-logs",
    }
    made = fake.get("ConfigMap", "broker-channel", "seldon-logs")
    assert made is not None
    assert made["data"]["channel-template-spec"] == (
        "apiVersion: messaging.knative.dev/v1alpha1\nkind: NatsJetStreamChannel\n"
    )


def test_a_broker_keeps_its_channel(
    on_kind: Open, fake: FakeApi, jetstream: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_kind().apply("namespaces", BROKER)
    before = _config(fake)
    on_kind().apply(BROKER)
    monkeypatch.delenv(SETTING)
    on_kind().apply(BROKER)  # a notebook run later, without the option
    assert _config(fake) == before
    monkeypatch.setenv(SETTING, "InMemoryChannel")
    with pytest.raises(PlatformError, match=r"keeps its events in NatsJetStreamChannel.*delete it"):
        on_kind().apply(BROKER)


def test_one_in_memory_is_not_made_durable_behind_its_back(
    on_kind: Open, fake: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_kind().apply("namespaces", BROKER)
    monkeypatch.setenv(SETTING, "KafkaChannel")
    with pytest.raises(PlatformError, match="keeps its events in InMemoryChannel"):
        on_kind().apply(BROKER)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ("KafkaChannel", "this cluster has no kind KafkaChannel: install"),
        ("Kafka", "CLOSEDLOOP_CHANNEL is 'Kafka': name one of InMemoryChannel, Nats"),
    ],
)
def test_what_is_not_there_is_refused(
    on_kind: Open, monkeypatch: pytest.MonkeyPatch, named: str, sentence: str
) -> None:
    monkeypatch.setenv(SETTING, named)
    with pytest.raises(PlatformError, match=sentence):
        on_kind().apply("namespaces", BROKER)
