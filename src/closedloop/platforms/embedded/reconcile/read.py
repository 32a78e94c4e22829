"""From manifests to checked objects, with every fault of every one of them reported at once."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.embedded.reconcile.kinds import KINDS
from closedloop.platforms.embedded.reconcile.kinds.base import Manifested, Path
from closedloop.platforms.embedded.reconcile.kinds.config import Secret

_PLAIN = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$-]*$")

Kind = TypeVar("Kind", bound=Manifested)


@dataclass(frozen=True, slots=True)
class Object:
    """A checked object beside the manifest it came from."""

    manifest: Manifest
    model: Manifested

    @property
    def key(self) -> str:
        return self.manifest.key

    def sentence(self, path: Path, message: str) -> str:
        """One sentence that names file, object and field."""
        return f"{self.manifest.source}: {self.manifest.title}: {field_path(path)} {message}"


def read(manifests: Iterable[Manifest]) -> list[Object]:
    """Check manifests. Raises `ManifestError` with a sentence for each fault in any of them."""
    objects: list[Object] = []
    sentences: list[str] = []
    for manifest in manifests:
        try:
            one = Object(manifest, _model(manifest))
        except ManifestError as error:
            sentences += error.sentences
            continue
        objects.append(one)
        sentences += [one.sentence(fault.path, fault.message) for fault in one.model.faults()]
    if sentences:
        raise ManifestError(sentences)
    return objects


def of_kind(objects: Iterable[Object], kind: type[Kind]) -> Iterator[tuple[Object, Kind]]:
    """The objects of one kind, with their models."""
    for one in objects:
        if isinstance(one.model, kind):
            yield one, one.model


def field_path(path: Path) -> str:
    """A path as a person writes it: `spec.ports[0].name`, `metadata.labels["a/b"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.match(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def _model(manifest: Manifest) -> Manifested:
    where = f"{manifest.source}: {manifest.title}:"
    kind = KINDS.get(manifest.kind)
    if kind is None:
        close = get_close_matches(manifest.kind, KINDS, 1)
        hint = f"did you mean {close[0]}?" if close else f"it knows {', '.join(KINDS)}"
        raise ManifestError(
            [f"{where} kind is {manifest.kind!r}, which one machine does not support: {hint}"]
        )
    # The values of a Secret are not for a terminal or a log.
    show = _hide if kind is Secret else _short
    try:
        return kind.model_validate(manifest.document)
    except ValidationError as error:
        raise ManifestError(
            f"{where} {_sentence(detail, show(detail['input']))}" for detail in error.errors()
        ) from None


def _sentence(detail: ErrorDetails, value: str) -> str:
    *parents, last = detail["loc"]
    path = field_path((*parents, last) if last != "[key]" else tuple(parents))
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return f"{path} is not supported on one machine: remove it"
        case "missing":
            return f"{path} is missing: add it"
        case "literal_error":
            return f"{path} is {value}: only {context['expected']} is supported here"
        case "value_error":
            return f"{path} is {value}: {context['error']}"
        case "too_long" if context["max_length"] == 0:
            return f"{path} is not supported on one machine: remove it"
        case "too_long":
            return f"{path} has {context['actual_length']} entries: only one is supported here"
        case "too_short":
            return f"{path} is empty: add an entry"
        case "string_pattern_mismatch":
            return f"{path} is {value}: it must match {context['pattern']}"
        case _:
            message = detail["msg"].removeprefix("Input ").replace("should", "must", 1)
            return f"{path} is {value}: it {message}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _hide(value: object) -> str:
    return f"of type {type(value).__name__}"
