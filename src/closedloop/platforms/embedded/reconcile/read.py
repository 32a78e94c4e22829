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
from closedloop.platforms.embedded.reconcile.kinds.base import Fault, Manifested, Path

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
        model = KINDS.get(manifest.kind)
        where = f"{manifest.source}: {manifest.title}:"
        if model is None:
            close = get_close_matches(manifest.kind, KINDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"it knows {', '.join(KINDS)}"
            sentences.append(
                f"{where} kind is {manifest.kind!r}, which one machine does not support: {hint}"
            )
            continue
        try:
            checked = model.model_validate(manifest.document)
        except ValidationError as error:
            sentences += [f"{where} {_sentence(detail)}" for detail in error.errors()]
            continue
        found = [Object(manifest, checked)]
        sentences += [found[0].sentence(fault.path, fault.message) for fault in _faults(checked)]
        objects += found
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


def _faults(model: Manifested) -> Iterator[Fault]:
    yield from model.faults()


def _sentence(detail: ErrorDetails) -> str:
    *parents, last = detail["loc"]
    path = field_path((*parents, last) if last != "[key]" else tuple(parents))
    value, context = detail["input"], detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return f"{path} is not supported on one machine: remove it"
        case "missing":
            return f"{path} is missing: add it"
        case "literal_error":
            return f"{path} is {_short(value)}: only {context['expected']} is supported here"
        case "value_error":
            return f"{path} is {_short(value)}: {context['error']}"
        case "too_long" if context["max_length"] == 0:
            return f"{path} is not supported on one machine: remove it"
        case "too_long":
            return f"{path} has {context['actual_length']} entries: only one is supported here"
        case "too_short":
            return f"{path} is empty: add an entry"
        case "string_pattern_mismatch":
            return f"{path} is {_short(value)}: it must match {context['pattern']}"
        case _:
            message = detail["msg"].removeprefix("Input ").replace("should", "must", 1)
            return f"{path} is {_short(value)}: it {message}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
