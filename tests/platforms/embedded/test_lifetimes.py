from datetime import UTC, datetime

from closedloop.manifests import Manifest
from closedloop.platforms.embedded.lifetimes import Lifetimes


def _objects(**fields: object) -> dict[str, Manifest]:
    document = {"kind": "Deployment", "metadata": {"name": "a", "namespace": "ns"}, **fields}
    manifest = Manifest("a.yaml", document)
    return {manifest.key: manifest}


def test_only_a_change_of_the_spec_makes_a_new_generation() -> None:
    lifetimes = Lifetimes()
    before = datetime.now(UTC)
    one = _objects(spec={"replicas": 1})
    (key,) = one
    lifetimes.note({}, one)
    first = lifetimes.metadata(key)
    assert before <= datetime.fromisoformat(str(first["creationTimestamp"])) <= datetime.now(UTC)
    labelled = _objects(
        spec={"replicas": 1}, status={}, metadata={"name": "a", "namespace": "ns", "labels": {}}
    )
    lifetimes.note(one, labelled)
    assert lifetimes.metadata(key) == first | {"generation": 1}
    lifetimes.note(labelled, _objects(spec={"replicas": 2}))
    assert lifetimes.metadata(key) == first | {"generation": 2}


def test_an_object_that_was_deleted_begins_again() -> None:
    lifetimes = Lifetimes()
    one = _objects(spec=1)
    (key,) = one
    lifetimes.note({}, one)
    first = lifetimes.metadata(key)
    lifetimes.note(one, {})
    assert lifetimes.metadata(key) == {}
    lifetimes.note({}, one)
    assert str(lifetimes.metadata(key)["creationTimestamp"]) > str(first["creationTimestamp"])
