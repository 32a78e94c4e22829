import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from closedloop.platforms.embedded.monitoring.programs import PROMETHEUS
from closedloop.platforms.embedded.parts.programs import ELASTICSEARCH
from closedloop.platforms.embedded.parts.service_urls import Urls, without_password
from closedloop.platforms.embedded.run.network import Network
from closedloop.platforms.protocol import PlatformError

SERVICES = [ELASTICSEARCH, PROMETHEUS]


@pytest.fixture
def urls() -> Iterator[Urls]:
    with closing(Network("127.3.4", random.Random(5))) as network:
        yield Urls(network)


def test_url_is_the_same_before_and_after_the_service_exists(urls: Urls) -> None:
    mentioned = urls.url_of("seldon-logs", "elasticsearch", 9200)
    assert mentioned.startswith("http://127.0.0.1:")
    assert urls.find("seldon-logs/elasticsearch", None, SERVICES) == mentioned


@pytest.mark.parametrize("port", [None, 9090, "9090", "http-web"])
def test_port_by_number_or_name_or_the_only_one(urls: Urls, port: str | int | None) -> None:
    found = urls.find("monitoring/monitoring-kube-prometheus-prometheus", port, SERVICES)
    assert found == urls.url_of("monitoring", "monitoring-kube-prometheus-prometheus", 9090)


def test_gateway_is_a_service_too(urls: Urls) -> None:
    assert urls.find("istio-system/istio-ingressgateway", None, []) == urls.gateway
    assert urls.url_of("istio-system", "istio-ingressgateway", 80) == urls.gateway


def test_elasticsearch_of_ones_own(urls: Urls) -> None:
    urls.elsewhere[ELASTICSEARCH.host] = "https://es.example:9243"
    assert urls.find("seldon-logs/elasticsearch", None, SERVICES) == "https://es.example:9243"


def test_unknown_service_names_those_that_there_are(urls: Urls) -> None:
    with pytest.raises(
        PlatformError, match=r"there is no Service a/b: .*seldon-logs/elasticsearch"
    ):
        urls.find("a/b", None, SERVICES)


def test_password_is_not_shown() -> None:
    assert without_password("https://me:secret@es:9243/x") == "https://es:9243/x"
    assert without_password("http://es:9200") == "http://es:9200"
