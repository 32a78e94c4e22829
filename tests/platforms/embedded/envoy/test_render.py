from pathlib import Path
from typing import Any

from closedloop.platforms.embedded.desired import Route
from closedloop.platforms.embedded.envoy import xds

A, B, C = "a.ns:8000", "b.ns:8000", "c.ns:9200"
Endpoints = dict[str, list[tuple[str, int]]]


def render(*routes: Route, endpoints: Endpoints | None = None, **options: Any) -> xds.Files:
    return xds.render(
        Path("/watched"),
        routes,
        **{"gateway": ("127.0.0.1", 8003), "listen": {}, "endpoints": endpoints or {}, **options},
    )


def route(*backends: tuple[str, int], mirror: tuple[str, float] | None = None) -> Route:
    return Route("/seldon/ns/x/", "/", backends, mirror)


def names(files: xds.Files, name: str) -> list[str]:
    resources: Any = files[name]["resources"]
    return [resource["name"] for resource in resources]


def only_action(files: xds.Files) -> Any:
    resources: Any = files[xds.ROUTES]["resources"]
    (one,) = resources[0]["virtual_hosts"][0]["routes"]
    return one["route"]


def test_every_host_that_is_named_has_a_cluster() -> None:
    files = render(route((A, 100), mirror=(B, 100.0)), listen={C: ("127.0.0.1", 1)})
    assert names(files, xds.CLUSTERS) == [A, B, C]
    assert names(files, xds.LISTENERS) == ["gateway", C]


def test_weights() -> None:
    action = only_action(render(route((A, 80), (B, 20))))
    assert action["weighted_clusters"]["clusters"] == [
        {"name": A, "weight": 80},
        {"name": B, "weight": 20},
    ]


def test_a_mirror_is_a_fraction_of_a_million() -> None:
    (mirror,) = only_action(render(route((A, 100), mirror=(B, 12.5))))["request_mirror_policies"]
    fraction = mirror["runtime_fraction"]["default_value"]
    assert fraction == {"numerator": 125_000, "denominator": "MILLION"}


def test_no_listener_shares_its_port() -> None:
    files = render(listen={A: ("127.0.0.1", 1), C: ("127.0.0.1", 2)}, elasticsearch={C})
    resources: Any = files[xds.LISTENERS]["resources"]
    assert [one["enable_reuse_port"] for one in resources] == [False, False, False]


def test_the_bootstrap_has_no_admin_interface_unless_asked() -> None:
    assert "admin" not in xds.bootstrap(Path("/watched"))
    admin: Any = xds.bootstrap(Path("/watched"), admin=("127.0.0.1", 0))["admin"]
    assert admin["address"]["socket_address"]["address"] == "127.0.0.1"


def test_the_first_files_are_written_at_once() -> None:
    files = render(route((A, 100)))
    assert xds.transition({}, files) == [files]


def test_nothing_to_change_is_no_step() -> None:
    assert xds.transition(render(route((A, 100))), render(route((A, 100)))) == []


def test_a_cluster_comes_before_its_route_and_goes_after_it() -> None:
    steps = xds.transition(render(route((A, 100))), render(route((B, 100))))
    assert [list(step) for step in steps] == [[xds.CLUSTERS], [xds.ROUTES], [xds.CLUSTERS]]
    assert names(steps[0], xds.CLUSTERS) == [B, A]
    assert names(steps[2], xds.CLUSTERS) == [B]


def test_another_address_is_one_step() -> None:
    old = render(route((A, 100)), endpoints={A: [("127.0.0.2", 1)]})
    new = render(route((A, 100)), endpoints={A: [("127.0.0.3", 1)]})
    assert xds.transition(old, new) == [{xds.CLUSTERS: new[xds.CLUSTERS]}]


def test_what_envoy_may_not_have_taken_is_written_again_in_its_step() -> None:
    files = render(route((A, 100)))
    steps = xds.transition(files, files, {xds.CLUSTERS, xds.ROUTES})
    assert steps == [{xds.CLUSTERS: files[xds.CLUSTERS]}, {xds.ROUTES: files[xds.ROUTES]}]
