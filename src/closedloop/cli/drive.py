"""`closedloop test-drive`: one prediction and its feedback, seen in the log and in the metrics."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import uuid4

import typer
from rich.console import Console

from closedloop.cli.errors import CommandError
from closedloop.cli.options import (
    ModelArgument,
    NamespaceOption,
    PlatformName,
    PlatformOption,
    open_platform,
)
from closedloop.loop.keys import document_id, index_name
from closedloop.loop.scoring.said import ADVICE
from closedloop.platforms.parts import GATEWAY, LOG, PROMETHEUS
from closedloop.platforms.protocol import Platform, PlatformError
from closedloop.seldon import gateway_path

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from closedloop.notebook.dashboards import Prometheus

_KIND = "SeldonDeployment"
# A model that comes with the suite, and a flower that it has seen.
_MODEL, _NAMESPACE, _MANIFEST = "sklearn", "seldon", "models/sklearn.yaml"
_ROW, _TRUTH = "[5.1, 3.5, 1.4, 0.2]", '"setosa"'
_JUDGED = (
    "sum(max by (predictor_name, state) (closedloop_rows{{"
    'deployment_namespace="{}", deployment_name="{}", state=~"scored|unscorable"}}))'
)


def drive(
    model: ModelArgument = _MODEL,
    row: Annotated[
        str | None,
        typer.Option(
            help="The row to ask about, as JSON. (Default: a flower.)", show_default=False
        ),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(help="The truth about it, as JSON. (Default: its kind.)", show_default=False),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds to wait, at most, until something is seen.")
    ] = 60.0,
    namespace: NamespaceOption = _NAMESPACE,
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Ask a model once, tell it the truth, and see both in the log and in the metrics.

    Prints a line for each step. Exit status 0: all that a prediction and its
    feedback pass through works; 1: a step failed, and a sentence says why.
    Where nothing is up, a platform is started and stopped again; the default
    model, where it is not there, is deployed and removed again.
    """
    if (model, namespace) != (_MODEL, _NAMESPACE) and None in (row, truth):
        raise CommandError(
            f"what to ask {namespace}/{model} is not known: give --row and --truth, as JSON"
        )
    asked = _json("--row", row or _ROW), _json("--truth", truth or _TRUTH)
    console = Console()
    target = open_platform(platform, owned=True)
    with ExitStack() as stack:
        begun = _Drive(console, target, namespace, model, timeout)
        begun.start(stack)
        begun.ask(*asked)
    console.print(f"{namespace}/{model} closes the loop.", style="green", highlight=False)


class _Drive:
    def __init__(
        self, console: Console, platform: Platform, namespace: str, model: str, timeout: float
    ) -> None:
        self._console, self._platform = console, platform
        self._namespace, self._model, self._timeout = namespace, model, timeout
        self._request_id = f"test-drive-{uuid4()}"

    def start(self, stack: ExitStack) -> None:
        """See to the platform and the model; what is not there goes again with the stack."""
        with self._step("platform") as say:
            if not (parts := self._platform.status()):
                stack.callback(self._platform.down)
                self._install()
                parts = self._platform.status()
            if bad := [part for part in parts if part.state != "ready"]:
                raise CommandError(
                    f"{bad[0].part} is {bad[0].state}: see `closedloop logs {bad[0].part}`"
                )
            say(f"{len(parts)} parts are ready")
        with self._step("model") as say:
            try:
                self._platform.get(_KIND, self._model, self._namespace)
            except PlatformError:
                if (self._model, self._namespace) != (_MODEL, _NAMESPACE):
                    raise
                stack.callback(self._platform.delete, _MANIFEST)
                self._platform.apply(_MANIFEST)
            self._platform.wait(_KIND, self._model, self._namespace, timeout=600)
            say(f"{self._namespace}/{self._model} is ready")

    def ask(self, row: object, truth: object) -> None:
        """Send a prediction and its feedback, and wait until the log and the metrics have them."""
        from elasticsearch import Elasticsearch

        from closedloop.notebook.dashboards import Prometheus
        from closedloop.notebook.waiting import until

        prometheus = Prometheus(self._platform.url(PROMETHEUS))
        before = self._judged(prometheus)
        request = {"data": {"ndarray": [row]}}
        with self._step("prediction") as say:
            say(f"answered {json.dumps(self._post('predictions', request).get('data'))}")
        feedback = {"request": request, "truth": {"data": {"ndarray": [truth]}}}
        with self._step("feedback") as say:
            self._post("feedback", feedback)
            say(f"the truth {json.dumps(truth)} is taken")
        with self._step("log") as say, Elasticsearch(self._platform.url(LOG)) as client:
            document = until(
                lambda: self._document(client),
                what=f"the log has the answer to {self._request_id} and its feedback",
                timeout=self._timeout,
            )
            score = cast(Mapping[str, str], document.get("score", {}))
            if score.get("state") != "scored":
                reason = score.get("reason", "")
                raise CommandError(f"the feedback does not count ({reason}): {ADVICE.get(reason)}")
            say(f"request, answer and truth are in document {self._request_id}")
        with self._step("metrics") as say:
            after = until(
                lambda: self._judged(prometheus),
                lambda count: count > before,
                what="the metrics server has counted the feedback, and Prometheus has seen it",
                timeout=self._timeout,
            )
            say(f"{after:.0f} rows are judged, {before:.0f} were before")

    @contextmanager
    def _step(self, name: str) -> Iterator[Callable[[str], None]]:
        """A line with what is said about the step, or that it failed, and how long it took."""
        begun = time.monotonic()
        said: list[str] = []
        with self._console.status(name):
            try:
                yield said.append
            except BaseException:
                self._line("red", "failed", name, begun)
                raise
        self._line("green", "ok", name, begun, *said)

    def _line(self, colour: str, state: str, name: str, begun: float, *said: str) -> None:
        took = time.monotonic() - begun
        self._console.print(f"[{colour}]{state:<7}[/]{name:<11}{took:6.1f} s  ", end="")
        self._console.print(*said, markup=False, highlight=False, soft_wrap=True)

    def _install(self) -> None:
        from closedloop.suite.setup import install_everything

        def report(step: str, share: float | None = None) -> None:
            if share is None:
                self._console.print(f"  {step}", highlight=False, soft_wrap=True)

        install_everything(self._platform, report)

    def _post(self, path: str, body: object) -> dict[str, Any]:
        import requests

        root = self._platform.url(GATEWAY) + gateway_path(self._namespace, self._model)
        url = f"{root}/api/v1.0/{path}"
        headers = {"Seldon-Puid": self._request_id}
        try:
            answer = requests.post(url, json=body, headers=headers, timeout=self._timeout)
        except requests.RequestException as error:
            raise CommandError(
                f"{url} does not answer ({error}): see `closedloop status`"
            ) from None
        if answer.status_code != requests.codes.ok:
            said = answer.text.strip()[:300] or "nothing"
            raise CommandError(
                f"{url} answered {answer.status_code} with {said}:"
                f" see `closedloop logs {self._namespace}/{self._model}`"
            )
        return cast(dict[str, Any], answer.json())

    def _document(self, client: "Elasticsearch") -> dict[str, object]:
        """The document of the row in the log of a predictor that answered it; empty until then."""
        deployment = cast(Any, self._platform.get(_KIND, self._model, self._namespace))
        for predictor in deployment["spec"]["predictors"]:
            found = client.options(ignore_status=404).get(
                index=index_name(self._namespace, self._model, predictor["name"]),
                id=document_id(self._request_id, 0, 1),
            )
            document = found.get("_source", {})
            if "response" in document and "feedback" in document:
                return cast(dict[str, object], document)
        return {}

    def _judged(self, prometheus: "Prometheus") -> float:
        return prometheus.scalar(_JUDGED.format(self._namespace, self._model), 0.0) or 0.0


def _json(option: str, text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(
            f"{option} {text} is not JSON ({error}): quote names, as '\"cat\"'"
        ) from None
