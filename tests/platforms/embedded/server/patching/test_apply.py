"""Server-side apply: who owns what, and what becomes of fields that nobody wants any more."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.patching.apply import apply, owned, update
from closedloop.platforms.embedded.server.patching.fields import decode, encode, fields_of

NOW = "2026-01-01T00:00:00Z"


def _deployment(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one"},
        "spec": {"template": {"spec": {"containers": [{"name": "a", **container}]}}},
    }


def _apply(
    live: dict[str, Any] | None, wanted: dict[str, Any], manager: str, *, force: bool = False
) -> dict[str, Any]:
    custom = wanted["kind"] not in ("Deployment", "Service")
    return apply(live, wanted, manager, force=force, custom=custom, time=NOW)


def _container(thing: dict[str, Any], at: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = thing["spec"]["template"]["spec"]["containers"][at]
    return found


def test_managers_of_different_fields_share_a_container() -> None:
    first = _apply(None, _deployment(image="x:1"), "me")
    both = _apply(first, _deployment(env=[{"name": "E", "value": "1"}]), "you")
    assert _container(both) == {"name": "a", "image": "x:1", "env": [{"name": "E", "value": "1"}]}
    assert {name for name, _ in owned(both)} == {"me", "you"}


def test_another_manager_s_value_is_a_conflict_that_names_the_field() -> None:
    first = _apply(None, _deployment(image="x:1"), "me")
    with pytest.raises(Refusal) as refused:
        _apply(first, _deployment(image="x:2"), "you")
    assert refused.value.code == 409
    causes: Any = refused.value.details["causes"]
    (cause,) = causes
    assert cause["field"] == '.spec.template.spec.containers[name="a"].image'
    assert '"me"' in cause["message"]


def test_force_takes_the_field_over() -> None:
    first = _apply(None, _deployment(image="x:1"), "me")
    taken = _apply(first, _deployment(image="x:2"), "you", force=True)
    assert _container(taken)["image"] == "x:2"
    # Whoever had it before may no longer take it out.
    left = _apply(taken, _deployment(), "me")
    assert _container(left)["image"] == "x:2"


def test_the_same_value_is_owned_by_both_and_stays_until_both_let_go() -> None:
    both = _apply(_apply(None, _deployment(image="x"), "me"), _deployment(image="x"), "you")
    one = _apply(both, _deployment(), "me")
    assert _container(one)["image"] == "x"
    assert "image" not in _container(_apply(one, _deployment(), "you"))


def test_an_item_that_its_only_owner_leaves_out_goes() -> None:
    ports = [{"containerPort": 1}, {"containerPort": 2, "protocol": "TCP"}]
    first = _apply(None, _deployment(ports=ports), "me")
    second = _apply(first, _deployment(ports=ports[1:]), "me")
    assert _container(second)["ports"] == [{"containerPort": 2, "protocol": "TCP"}]


def test_an_item_of_which_another_owns_a_part_keeps_that_and_its_key() -> None:
    first = _apply(None, _deployment(image="x"), "me")
    changed = copy.deepcopy(first)
    _container(changed)["env"] = [{"name": "E", "value": "1"}]
    edited = update(first, changed, "edit", custom=False, time=NOW)
    gone = _deployment()
    gone["spec"]["template"]["spec"] = {"restartPolicy": "Always"}
    assert _container(_apply(edited, gone, "me")) == {
        "name": "a",
        "env": _container(changed)["env"],
    }


def test_a_list_of_a_custom_kind_is_one_value() -> None:
    def sdep(*names: str) -> dict[str, Any]:
        return {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "s"},
            "spec": {"predictors": [{"name": name} for name in names]},
        }

    first = _apply(None, sdep("a", "b"), "me")
    with pytest.raises(Refusal, match=r"\.spec\.predictors"):
        _apply(first, sdep("b"), "you")
    assert _apply(first, sdep("b"), "me")["spec"]["predictors"] == [{"name": "b"}]


def test_what_an_update_changed_is_the_updater_s() -> None:
    first = _apply(None, _deployment(image="x:1"), "me")
    changed = copy.deepcopy(first)
    _container(changed)["image"] = "x:2"
    edited = update(first, changed, "edit", custom=False, time=NOW)
    with pytest.raises(Refusal, match='conflict with "edit" using update'):
        _apply(edited, _deployment(image="x:1"), "me")


def test_defaults_of_the_server_are_nobody_s_and_stay() -> None:
    first = _apply(None, _deployment(image="x"), "me")
    first["spec"]["replicas"] = 1
    assert _apply(first, _deployment(image="y"), "me")["spec"]["replicas"] == 1


def test_the_time_of_a_manager_is_that_of_its_last_change_of_a_value() -> None:
    def applied(live: Any, image: str, time: str) -> dict[str, Any]:
        return apply(live, _deployment(image=image), "me", force=False, custom=False, time=time)

    first = applied(None, "x:1", "1")
    again = applied(first, "x:1", "2")
    changed = applied(again, "x:2", "3")
    times = [one["metadata"]["managedFields"][0]["time"] for one in (first, again, changed)]
    assert times == ["1", "1", "3"]


names = st.sampled_from(("a", "b", "c"))
objects = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(names, inner, max_size=3), max_leaves=8
)
specs = st.dictionaries(names, objects, max_size=3)


def _thing(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": spec}


@given(specs)
def test_applying_again_changes_nothing(spec: dict[str, Any]) -> None:
    once = _apply(None, _thing(spec), "me")
    assert _apply(once, _thing(spec), "me") == once


@given(specs, specs)
def test_the_only_manager_gets_what_it_wants_and_nothing_else(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    def leaves(thing: Any) -> Any:
        return fields_of(thing, custom=True)

    both = _apply(_apply(None, _thing(before), "me"), _thing(after), "me")
    wanted = _apply(None, _thing(after), "me")
    assert leaves({"data": both.get("data")}) == leaves({"data": wanted.get("data")})


@given(specs)
def test_fields_survive_being_written_and_read(spec: dict[str, Any]) -> None:
    fields = fields_of(_thing(spec), custom=True)
    assert decode(encode(fields)) == fields
