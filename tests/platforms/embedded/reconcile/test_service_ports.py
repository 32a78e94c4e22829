from closedloop.platforms.embedded.desired import ServicePort
from tests.platforms.embedded.reconcile.objects import manifest, reconcile, service


def test_a_port_by_name() -> None:
    assert reconcile(manifest("elasticsearch/service.yaml")).services == (
        ServicePort("seldon-logs", "elasticsearch", "http", 9200, "http", {"app": "elasticsearch"}),
    )


def test_a_port_without_a_target_is_its_own() -> None:
    (port,) = reconcile(service("s", port=81)).services
    assert (port.target, port.host) == (81, "s.ns:81")
