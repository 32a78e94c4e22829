from closedloop.platforms.embedded.desired import Route, ServicePort
from tests.platforms.embedded.reconcile.objects import (
    gateway,
    manifest,
    predictor,
    reconcile,
    seldon_deployment,
)


def test_services_of_a_predictor() -> None:
    services = reconcile(seldon_deployment(predictor())).services
    assert services == (
        ServicePort("ns", "iris-default", "http", 8000, 8000, {"seldon-app": "iris-default"}),
        ServicePort(
            "ns",
            "iris-default-classifier",
            "http",
            9000,
            9000,
            {"seldon-app-svc-classifier": "iris-default-classifier"},
        ),
    )


def test_the_predictors_service_may_have_a_name_of_its_own() -> None:
    result = reconcile(
        gateway(), seldon_deployment(predictor(annotations={"seldon.io/svc-name": "mine"}))
    )
    assert result.services[0].host == "mine.ns:8000"
    assert result.pods[0].labels["seldon-app"] == "mine"
    assert result.routes[0].backends == (("mine.ns:8000", 100),)


def test_one_predictor_gets_everything() -> None:
    (route,) = reconcile(gateway(), manifest("models/sklearn.yaml")).routes
    assert route == Route(
        prefix="/seldon/seldon/sklearn/",
        rewrite="/",
        backends=(("sklearn-default.seldon:8000", 100),),
    )


def test_a_shadow_is_a_mirror_of_everything() -> None:
    (route,) = reconcile(
        gateway(), seldon_deployment(predictor(), predictor("b", shadow=True))
    ).routes
    assert route.backends == (("iris-default.ns:8000", 100),)
    assert route.mirror == ("iris-b.ns:8000", 100.0)


def test_a_shadows_traffic_is_the_share_that_is_mirrored() -> None:
    (route,) = reconcile(
        gateway(), seldon_deployment(predictor(), predictor("b", shadow=True, traffic=25))
    ).routes
    assert route.mirror == ("iris-b.ns:8000", 25.0)


def test_traffic_is_the_weight_of_a_predictor() -> None:
    (route,) = reconcile(
        gateway(), seldon_deployment(predictor("a", traffic=80), predictor("b", traffic=20))
    ).routes
    assert route.backends == (("iris-a.ns:8000", 80), ("iris-b.ns:8000", 20))


def test_without_the_gateway_there_is_no_route() -> None:
    result = reconcile(seldon_deployment(predictor()))
    assert result.routes == ()
    assert result.problems == {
        "SeldonDeployment/ns/iris": ("Gateway istio-system/seldon-gateway does not exist",)
    }
