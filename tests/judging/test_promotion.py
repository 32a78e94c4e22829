import copy
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
import yaml

from closedloop.judging.present import ANNOTATION
from closedloop.judging.promotion import PromotionError, Roles, diff, promote, promoted, roles
from closedloop.paths import manifests_folder
from closedloop.platforms.protocol import Object, PartStatus, Platform

PROBES = [{"data": {"ndarray": [[float(i)]]}} for i in range(3)]


def deployment(**shadow: object) -> dict[str, object]:
    """A deployment whose predictor `default` serves and whose predictor `shadow` shadows it."""

    def predictor(name: str, model: str) -> dict[str, object]:
        container = {"name": "classifier", "image": f"{model}:1"}
        return {
            "name": name,
            "replicas": 1,
            "componentSpecs": [{"spec": {"containers": [container]}}],
            "graph": {"name": "classifier", "type": "MODEL"},
        }

    return {
        "apiVersion": "machinelearning.seldon.io/v1",
        "kind": "SeldonDeployment",
        "metadata": {"name": "iris-perf", "namespace": "seldon"},
        "spec": {
            "predictors": [
                predictor("default", "old"),
                {**predictor("shadow", "new"), "shadow": True, **shadow},
            ]
        },
    }


def predictors(each: Object) -> list[dict[str, object]]:
    return cast(list[dict[str, object]], cast(Mapping[str, object], each["spec"])["predictors"])


def test_the_shadow_serves_and_the_server_shadows() -> None:
    before = deployment()
    after = promoted(before)
    assert roles(before) == Roles("default", "shadow")
    assert roles(after) == Roles("shadow", "default")


def test_each_name_keeps_its_model() -> None:
    before = deployment()
    models = {each["name"]: (each["graph"], each["componentSpecs"]) for each in predictors(before)}
    after = promoted(before)
    assert models == {
        each["name"]: (each["graph"], each["componentSpecs"]) for each in predictors(after)
    }


def test_the_serving_predictor_comes_first() -> None:
    assert [each["name"] for each in predictors(promoted(deployment()))] == ["shadow", "default"]


def test_traffic_belongs_to_the_role() -> None:
    before = deployment(traffic=10)
    predictors(before)[0]["traffic"] = 100
    after = promoted(before)
    assert [each["traffic"] for each in predictors(after)] == [100, 10]


def test_twice_is_where_it_was() -> None:
    before = deployment(traffic=25)
    assert promoted(promoted(before)) == before


def test_the_compared_models_can_be_swapped_and_swapped_back() -> None:
    text = (manifests_folder() / "models" / "iris-perf-shadow.yaml").read_text(encoding="utf-8")
    before = cast(dict[str, object], yaml.safe_load(text))
    after = promoted(before)
    assert roles(after) == Roles(roles(before).shadow, roles(before).serving)
    assert promoted(after) == before


def test_the_argument_is_left_alone() -> None:
    before = deployment()
    kept = copy.deepcopy(before)
    predictors(promoted(before))[0]["graph"] = {}
    assert before == kept


def test_what_the_api_server_manages_is_left_out() -> None:
    before = deployment()
    cast(dict[str, object], before["metadata"]).update(
        resourceVersion="7",
        managedFields=[],
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}", "owner": "ada"},
        labels={"team": "iris"},
    )
    after = promoted({**before, "status": {"state": "Available"}})
    assert set(after) == {"apiVersion", "kind", "metadata", "spec"}
    assert after["metadata"] == {
        "name": "iris-perf",
        "namespace": "seldon",
        "labels": {"team": "iris"},
        "annotations": {"owner": "ada"},
    }


def test_the_diff_shows_what_changes() -> None:
    before = deployment()
    lines = diff(before, promoted(before)).splitlines()
    changed = [line.replace(" ", "") for line in lines if line[0] in "+-"][2:]
    assert changed == [
        *("-place:1", "-shadow:false", "+place:2", "+shadow:true"),
        *("-place:2", "-shadow:true", "+place:1", "+shadow:false"),
    ]
    assert diff(before, before) == ""


@pytest.mark.parametrize("shadows", [(False, False), (True, True)])
def test_without_one_of_each_there_is_nothing_to_promote(shadows: tuple[bool, bool]) -> None:
    before = deployment()
    for each, shadow in zip(predictors(before), shadows, strict=True):
        each["shadow"] = shadow
    with pytest.raises(PromotionError, match=r"seldon/iris-perf has \d serving"):
        promoted(before)


def test_a_challenger_with_fewer_replicas_is_not_promoted() -> None:
    before = deployment()
    predictors(before)[0]["replicas"] = 3
    with pytest.raises(PromotionError, match="shadow runs 1 replicas where default serves with 3"):
        promoted(before)


class Fake:
    """A platform with one SeldonDeployment and HTTP servers in place of models and gateway.

    `switches` is what the gateway does after an apply: the number of its
    answers that are still the old predictor's, None for all of them.
    """

    name = "fake"

    def __init__(self, urls: Mapping[str, str], switches: int | None = 3) -> None:
        self.object = deployment()
        self.urls, self.switches = urls, switches
        self.applied: list[Object] = []
        self.waited = False
        self.serving, self.next_serving = "default", "default"
        self.probed: list[Mapping[str, str]] = []

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, object]:
        assert (kind, name, namespace) == ("SeldonDeployment", "iris-perf", "seldon")
        return copy.deepcopy(self.object)

    def apply(self, *manifests: str | Path | Object) -> list[str]:
        (manifest,) = manifests
        assert isinstance(manifest, Mapping)
        self.applied.append(manifest)
        self.object = dict(manifest)
        self.next_serving = roles(manifest).serving
        return ["SeldonDeployment/iris-perf configured"]

    def wait(self, kind: str, name: str, namespace: str = "", **_: object) -> dict[str, object]:
        self.waited = True
        return self.get(kind, name, namespace)

    def url(self, service: str, port: str | int | None = None) -> str:
        return self.urls[service]

    def served(self) -> str:
        """The predictor that answers the gateway's next request."""
        if self.next_serving != self.serving and self.switches is not None:
            self.switches -= 1
            if self.switches < 0:
                self.serving = self.next_serving
        return self.serving

    def status(self) -> list[PartStatus]:
        return []


@contextmanager
def loop(same: bool = False, switches: int | None = 3) -> Iterator[tuple[Fake, Platform]]:
    answers = {"default": 1.0, "shadow": 1.0 if same else 2.0}

    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            _, who, *rest = self.path.split("/")
            assert rest[-3:] == ["api", "v1.0", "predictions"]
            fake.probed.append(dict(self.headers.items()))
            name = fake.served() if who == "gateway" else who
            content = json.dumps({"data": {"ndarray": [[answers[name]]]}}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_port}"
    fake = Fake(
        {
            "istio-system/istio-ingressgateway": f"{base}/gateway",
            "seldon/iris-perf-default": f"{base}/default",
            "seldon/iris-perf-shadow": f"{base}/shadow",
        },
        switches,
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake, cast(Platform, fake)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_promotion_is_over_when_the_winner_answers() -> None:
    with loop() as (fake, platform):
        done = promote(platform, "seldon", "iris-perf", probes=PROBES)
    assert (done.answered_before, done.answered_after) == ("default", "shadow")
    assert (done.before, done.after) == (Roles("default", "shadow"), Roles("shadow", "default"))
    assert done.applied
    assert fake.waited
    assert all(headers["Seldon-Skip-Logging"] == "true" for headers in fake.probed)


def test_undo_is_the_same_call() -> None:
    with loop() as (fake, platform):
        first = fake.object
        promote(platform, "seldon", "iris-perf", probes=PROBES)
        fake.switches = 3
        undone = promote(platform, "seldon", "iris-perf", probes=PROBES)
        assert fake.object == first
    assert undone.answered_after == "default"


def test_a_promotion_writes_since_when_the_pair_is_the_same() -> None:
    with loop() as (fake, platform):
        metadata = cast(dict[str, object], fake.object["metadata"])
        metadata.update(generation=7, creationTimestamp="2026-05-01T08:00:00Z")
        promote(platform, "seldon", "iris-perf", probes=PROBES)
        applied = cast(Mapping[str, object], fake.applied[0]["metadata"])
        annotations = cast(Mapping[str, str], applied["annotations"])
        assert json.loads(annotations[ANNOTATION]) == {
            "since": "2026-05-01T08:00:00Z",
            "generation": 8,
        }
        # The annotation of another promotion is not carried on by itself.
        assert "annotations" not in cast(dict[str, object], promoted(fake.object)["metadata"])


def test_a_dry_run_changes_nothing() -> None:
    with loop() as (fake, platform):
        done = promote(platform, "seldon", "iris-perf", probes=PROBES, dry_run=True)
        assert fake.applied == fake.probed == []
    assert done.diff == diff(deployment(), promoted(deployment()))
    assert not done.applied


def test_without_probes_the_platforms_word_is_taken() -> None:
    with loop() as (fake, platform):
        done = promote(platform, "seldon", "iris-perf")
        assert fake.probed == []
    assert (done.applied, done.answered_after) == (True, None)


def test_probes_that_tell_nothing_apart_stop_it_before_anything_changes() -> None:
    with loop(same=True) as (fake, platform):
        with pytest.raises(PromotionError, match="the same answer to each of 3 probes"):
            promote(platform, "seldon", "iris-perf", probes=PROBES)
        assert fake.applied == []


def test_answers_that_never_turn_are_an_error_that_says_where_things_stand() -> None:
    with loop(switches=None) as (_, platform), pytest.raises(PromotionError) as error:
        promote(platform, "seldon", "iris-perf", probes=PROBES, timeout=0.5)
    assert "was applied, but not all answers of the gateway are shadow's" in str(error.value)


def test_a_model_that_does_not_answer_stops_it_before_anything_changes() -> None:
    with loop() as (fake, platform):
        fake.urls = {**fake.urls, "seldon/iris-perf-shadow": "http://127.0.0.1:1"}
        with pytest.raises(PromotionError, match="predictor shadow does not answer"):
            promote(platform, "seldon", "iris-perf", probes=PROBES)
        assert fake.applied == []
