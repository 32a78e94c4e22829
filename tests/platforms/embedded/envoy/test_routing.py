from closedloop.platforms.embedded.desired import Pod, Route, ServicePort
from closedloop.platforms.embedded.envoy.routing import Routing, plan
from tests.platforms.embedded.run.addressed import AddressedPod


def _service(name: str) -> ServicePort:
    return ServicePort("ns", name, "http", 80, 8000, {"app": name})


def _pod(name: str, *, ready: bool = True) -> AddressedPod:
    pod = Pod(f"ns/{name}", "", {"app": name}, (), {}, "1")
    return AddressedPod(pod, name, f"127.0.9.{len(name)}", ready)


def _route(*backends: str, mirror: str | None = None) -> Route:
    weights = tuple((f"{name}.ns:80", 100 // len(backends)) for name in backends)
    return Route("/a/", "/", weights, (f"{mirror}.ns:80", 100.0) if mirror else None)


def _planned(
    route: Route | None, services: str, pods: list[AddressedPod], before: Routing
) -> Routing:
    routes = () if route is None else (route,)
    return plan(routes, [_service(name) for name in services.split()], pods, before)


def test_route_waits_for_the_first_ready_pod() -> None:
    waiting = _planned(_route("one"), "one", [_pod("one", ready=False)], Routing())
    assert waiting.routes == ()
    begun = _planned(_route("one"), "one", [_pod("one")], waiting)
    assert begun.routes == (_route("one"),)
    assert begun.endpoints == {"one.ns:80": (("127.0.9.3", 8000),)}


def test_route_stays_when_its_pods_are_not_ready_for_a_while() -> None:
    before = _planned(_route("one"), "one", [_pod("one")], Routing())
    after = _planned(_route("one"), "one", [], before)
    assert after.routes == before.routes
    assert after.endpoints == {"one.ns:80": ()}


def test_changed_route_waits_for_what_it_newly_leads_to() -> None:
    before = _planned(_route("one"), "one", [_pod("one")], Routing())
    mirrored = _route("one", mirror="other")
    waiting = _planned(mirrored, "one other", [_pod("one")], before)
    assert waiting.routes == before.routes
    after = _planned(mirrored, "one other", [_pod("one"), _pod("other")], waiting)
    assert after.routes == (mirrored,)


def test_service_of_a_route_in_effect_outlives_its_description() -> None:
    before = _planned(_route("one"), "one", [_pod("one")], Routing())
    waiting = _planned(_route("other"), "other", [_pod("one")], before)
    assert waiting.routes == before.routes
    assert waiting.endpoints["one.ns:80"] == (("127.0.9.3", 8000),)
    assert waiting.needs([_pod("one").pod])
    after = _planned(_route("other"), "other", [_pod("one"), _pod("other")], waiting)
    assert set(after.services) == {"other.ns:80"}
    assert not after.needs([_pod("one").pod])


def test_deleted_route_goes_at_once() -> None:
    before = _planned(_route("one"), "one", [_pod("one")], Routing())
    assert _planned(None, "", [_pod("one")], before) == Routing()
