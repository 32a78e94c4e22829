"""Strategic merge patches, as kubectl makes them, and JSON merge patches."""

from typing import Any

import pytest

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.patching.strategic import merge, merge_json


def _pods(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers), **spec}}}}


def _merged(there: dict[str, Any], patch: dict[str, Any]) -> Any:
    return merge(there, patch, "Deployment")["spec"]["template"]["spec"]


def test_a_container_is_found_by_its_name() -> None:
    there = _pods({"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"})
    found = _merged(there, _pods({"name": "b", "image": "b:2"}))
    assert found["containers"] == [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:2"}]


def test_null_takes_a_field_out() -> None:
    assert _merged(_pods({"name": "a", "image": "x"}), _pods({"name": "a", "image": None})) == {
        "containers": [{"name": "a"}]
    }


def test_directives_delete_and_replace_items() -> None:
    there = _pods({"name": "a"}, {"name": "b"})
    assert _merged(there, _pods({"name": "a", "$patch": "delete"}))["containers"] == [{"name": "b"}]
    replaced = _merged(there, _pods({"name": "c"}, {"$patch": "replace"}))
    assert replaced["containers"] == [{"name": "c"}]


def test_new_items_come_where_the_order_says() -> None:
    patch = _pods({"name": "new"})
    patch["spec"]["template"]["spec"]["$setElementOrder/containers"] = [
        {"name": "new"},
        {"name": "a"},
    ]
    found = _merged(_pods({"name": "a"}), patch)
    assert [one["name"] for one in found["containers"]] == ["new", "a"]
    assert list(found) == ["containers"]


def test_plain_lists_are_replaced() -> None:
    there = _pods({"name": "a", "args": ["1", "2"]})
    assert _merged(there, _pods({"name": "a", "args": ["3"]}))["containers"][0]["args"] == ["3"]


def test_keys_that_are_to_stay_are_kept_alone() -> None:
    there = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert merge(there, patch, "Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_an_item_without_its_key_is_refused() -> None:
    with pytest.raises(Refusal, match="has no name"):
        _merged(_pods({"name": "a"}), _pods({"image": "x"}))


def test_json_merge_patch_follows_the_rfc() -> None:
    there = {"a": "b", "c": {"d": "e", "f": "g"}}
    assert merge_json(there, {"a": "z", "c": {"f": None}}) == {"a": "z", "c": {"d": "e"}}
    assert merge_json({"a": [1]}, {"a": [2, 3]}) == {"a": [2, 3]}
    assert merge_json(["a"], {"b": 1}) == {"b": 1}
