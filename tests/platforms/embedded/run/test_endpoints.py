from closedloop.platforms.embedded.desired import Pod, ServicePort
from closedloop.platforms.embedded.run.endpoints import endpoints
from tests.platforms.embedded.run.addressed import AddressedPod


def running(
    address: str,
    *,
    workload: str = "ns/w",
    app: str = "a",
    ready: bool = True,
) -> AddressedPod:
    pod = Pod(workload, "Deployment/ns/w", {"app": app}, (), {"http": 8080}, "r")
    return AddressedPod(pod, "w-1", address, ready)


def service(target: str | int) -> ServicePort:
    return ServicePort("ns", "s", "http", 80, target, {"app": "a"})


def test_ready_pods_that_the_selector_matches() -> None:
    pods = [
        running("127.0.0.4"),
        running("127.0.0.3"),
        running("127.0.0.5", ready=False),
        running("127.0.0.6", workload="other/w"),
        running("127.0.0.7", app="b"),
    ]
    assert endpoints([service("http")], pods) == {
        "s.ns:80": (("127.0.0.3", 8080), ("127.0.0.4", 8080))
    }


def test_a_port_by_number_and_one_that_the_pod_has_not() -> None:
    assert endpoints([service(9)], [running("127.0.0.3")]) == {"s.ns:80": (("127.0.0.3", 9),)}
    assert endpoints([service("grpc")], [running("127.0.0.3")]) == {"s.ns:80": ()}
