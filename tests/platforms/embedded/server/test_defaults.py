"""Defaults that clients rely on."""

from typing import Any

import pytest

from closedloop.platforms.embedded.server.defaults import defaulted


def test_what_is_given_stays() -> None:
    thing: dict[str, Any] = {"kind": "Deployment", "spec": {"replicas": 0}}
    assert defaulted(thing)["spec"]["replicas"] == 0


def test_ports_and_probes_are_complete() -> None:
    container = {
        "name": "a",
        "ports": [{"containerPort": 1}],
        "readinessProbe": {"httpGet": {"port": 1}, "periodSeconds": 2},
    }
    thing = {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [container]}}}}
    (filled,) = defaulted(thing)["spec"]["template"]["spec"]["containers"]
    assert filled["ports"] == [{"containerPort": 1, "protocol": "TCP"}]
    assert filled["readinessProbe"]["periodSeconds"] == 2
    assert filled["readinessProbe"]["httpGet"] == {"path": "/", "scheme": "HTTP", "port": 1}


@pytest.mark.parametrize(
    "spec", ["no map", {"template": []}, {"template": {"spec": {"containers": [1]}}}, {"ports": 3}]
)
def test_what_has_another_shape_is_left_to_be_refused(spec: Any) -> None:
    for kind in ("Deployment", "Service"):
        assert defaulted({"kind": kind, "spec": spec})["kind"] == kind
