"""What nobody should send, and what the server says to it."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.timeout(300),
]
JSON = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
PATCH = {"Content-Type": "application/json-patch+json"}
NOT_JSON = (b"", b"{", b"nothing", b"\xff\xfe", b"[" * 5000, b'"text"', b"7", b"null", b"[]")
MAPS = "/api/v1/namespaces/default/configmaps"
MAP = f"{MAPS}/kube-root-ca.crt"
ODD: tuple[Any, ...] = (None, 7, "Not A Name", [], [1], {})


@pytest.fixture(scope="module")
def session(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Sends requests to paths, with the token."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster = content["clusters"][0]["cluster"]
    authority = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    with requests.Session() as one:
        one.trust_env = False
        one.verify = str(authority)
        one.headers["Authorization"] = f"Bearer {content['users'][0]['user']['token']}"

        def send(method: str, path: str, **fields: Any) -> requests.Response:
            answer = one.request(method, cluster["server"] + path, timeout=60, **fields)
            return answer

        yield send


def _refused(answer: requests.Response, *codes: int) -> None:
    """The answer is one of these codes, with a Status that says why."""
    assert answer.status_code in codes, (answer.request.url, answer.request.body, answer.text)
    status = answer.json()
    assert (status["kind"], status["status"]) == ("Status", "Failure")
    assert status["code"] == answer.status_code
    assert status["message"]
    assert status["reason"]


@pytest.fixture(autouse=True)
def _unharmed(session: Any) -> Iterator[None]:
    before = session("GET", MAPS).json()["items"]
    yield
    assert session("GET", MAPS).json()["items"] == before
    assert session("GET", "/readyz").text == "ok"


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Basic ümlaut"])
def test_other_tokens_are_refused(session: Any, token: str) -> None:
    _refused(session("GET", "/api", headers={"Authorization": token.encode()}), 401)


@pytest.mark.parametrize("raw", NOT_JSON)
def test_what_is_no_json_is_refused(session: Any, raw: bytes) -> None:
    _refused(session("POST", MAPS, data=raw, headers=JSON), 400, 422)
    _refused(session("PUT", MAP, data=raw, headers=JSON), 400, 404)
    for kind in (MERGE, STRATEGIC, PATCH):
        _refused(session("PATCH", MAP, data=raw, headers=kind), 400, 404)
    _refused(session("PATCH", f"{MAP}?fieldManager=me", data=raw, headers=APPLY), 400, 422)


@pytest.mark.parametrize("document", ODD)
def test_odd_objects_are_refused(session: Any, document: Any) -> None:
    for metadata in (document, {"name": document}, {"name": "x", "labels": document or 7}):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        _refused(session("POST", MAPS, json=body), 400, 422)
    for field in ("spec", "apiVersion", "kind"):
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
        body[field] = document or 7
        path = "/apis/apps/v1/namespaces/default/deployments"
        _refused(session("POST", path, json=body), 400, 422)
        applied = session("PATCH", f"{path}/x?fieldManager=me", json=body, headers=APPLY)
        _refused(applied, 400, 422)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/apis/nothing/v1/things", 404),
        ("GET", "/api/v1/nothings", 404),
        ("GET", f"{MAPS}/absent", 404),
        ("GET", f"{MAP}/status", 404),
        ("DELETE", f"{MAPS}/absent", 404),
        ("POST", "/api/v1/namespaces/default/pods", 405),
        ("PUT", "/api/v1/nodes/localhost", 405),
        ("DELETE", "/api/v1/namespaces/default", 422),
        ("GET", f"{MAPS}?labelSelector=a%3Db%3Dc", 400),
        ("GET", f"{MAPS}?fieldSelector=data.a%3D1", 400),
        ("GET", f"{MAPS}?watch=1&resourceVersion=x", 400),
        ("DELETE", f"{MAP}?dryRun=Some", 400),
        ("GET", "/api/v1/namespaces/seldon-logs/pods/elasticsearch-0/log?tailLines=x", 400),
        ("GET", "/api/v1/namespaces/seldon-logs/pods/elasticsearch-0/log?container=x", 400),
        ("GET", "/api/v1/namespaces/seldon-logs/pods/elasticsearch-0/log?previous=true", 400),
        ("GET", "/api/v1/namespaces/seldon-logs/pods/elasticsearch-0/log?sinceTime=x", 400),
    ],
)
def test_requests_that_cannot_be_answered(session: Any, method: str, path: str, code: int) -> None:
    _refused(session(method, path), code)


def test_a_patch_of_no_known_type_is_refused(session: Any) -> None:
    _refused(session("PATCH", MAP, data=b"{}", headers=JSON), 415)


@pytest.mark.parametrize("part", ODD)
def test_parts_that_there_are_not(session: Any, part: Any) -> None:
    for body in (part, {"part": part}):
        answer = session("POST", "/closedloop/install", json=body)
        assert answer.status_code in (400, 422)
        assert "error" in answer.json() or "message" in answer.json()


@pytest.mark.parametrize(
    "query", ["", "?service=a/b", "?service=x", "?service=seldon-logs/elasticsearch&port=x"]
)
def test_services_that_there_are_not(session: Any, query: str) -> None:
    answer = session("GET", f"/closedloop/url{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]
