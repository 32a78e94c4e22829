"""The names that Seldon's operator gives."""

from closedloop import seldon


def test_names_of_the_workload_and_services_of_a_predictor() -> None:
    assert seldon.deployment("iris", "default", ["classifier"]) == "iris-default-0-classifier"
    assert seldon.deployment("iris", "default", ["classifier"], "own") == "iris-default-0-own"
    assert seldon.predictor_service("iris", "default") == "iris-default"
    assert seldon.predictor_service("iris", "default", "mine") == "mine"
    assert seldon.container_service("iris", "default", "m") == "iris-default-m"
    assert seldon.container_label("m") == "seldon-app-svc-m"
    assert seldon.gateway_path("seldon", "iris") == "/seldon/seldon/iris"


def test_a_name_past_63_characters_is_a_hash() -> None:
    fits = "a" * (63 - len("-default"))
    assert seldon.predictor_service(fits, "default") == f"{fits}-default"
    hashed = seldon.predictor_service(fits + "a", "default")
    assert hashed.startswith("seldon-")
    assert len(hashed) == 39
    assert hashed != seldon.predictor_service(fits + "b", "default")


def test_objects_of_a_deployment_are_selected_by_a_label_that_fits() -> None:
    assert seldon.selector("iris") == "seldon-deployment-id=iris"
    key, _, value = seldon.selector("a" * 64).partition("=")
    assert key == seldon.DEPLOYMENT_ID
    assert value == seldon.deployment_id("a" * 64)
    assert len(value) == 39
