"""Versions, generations, and the changes that watches follow."""

import asyncio
from typing import Any

import pytest

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.store import Store, key_of


def _thing(name: str = "one", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", **fields.pop("metadata", {})}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, **fields}


def test_a_change_of_the_spec_makes_a_generation_and_one_beside_it_does_not() -> None:
    store = Store()
    first = store.put(_thing(spec={"replicas": 1}))["metadata"]
    labelled = store.put(_thing(spec={"replicas": 1}, metadata={"labels": {"a": "b"}}))
    told = store.put({**labelled, "status": {"replicas": 1}})["metadata"]
    second = store.put(_thing(spec={"replicas": 2}))["metadata"]
    assert (first["generation"], told["generation"], second["generation"]) == (1, 1, 2)
    assert first["uid"] == second["uid"]
    assert int(first["resourceVersion"]) < int(told["resourceVersion"])


def test_the_same_again_is_no_change() -> None:
    store = Store()
    first = store.put(_thing(spec={}))
    assert store.put(_thing(spec={})) is first
    assert [one.change for one in store.since(1)] == ["ADDED"]


def test_an_object_of_another_uid_takes_the_place_of_the_first() -> None:
    store = Store()
    store.put(_thing(metadata={"uid": "a"}))
    store.replace(_thing(metadata={"uid": "b"}))
    assert [one.change for one in store.since(1)] == ["ADDED", "DELETED", "ADDED"]


def test_what_is_removed_and_made_again_is_another_object() -> None:
    store = Store()
    first = store.put(_thing())
    store.remove(key_of(first))
    assert store.put(_thing())["metadata"]["uid"] != first["metadata"]["uid"]


def test_a_version_of_before_the_history_is_gone() -> None:
    store = Store()
    for number in range(5000):
        store.put(_thing(spec={"replicas": number}))
    with pytest.raises(Refusal) as refused:
        store.since(1)
    assert refused.value.code == 410
    assert len(store.since(store.version - 3)) == 3


def test_a_version_of_another_server_is_gone() -> None:
    with pytest.raises(Refusal) as refused:
        Store().since(99)
    assert refused.value.code == 410


async def test_waiting_ends_with_the_next_change() -> None:
    store = Store()
    waiting = asyncio.create_task(store.after(store.version))
    await asyncio.sleep(0)
    assert not waiting.done()
    store.put(_thing())
    await asyncio.wait_for(waiting, 10)
