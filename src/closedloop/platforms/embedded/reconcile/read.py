"""From manifests to checked objects, with every fault of every one of them reported at once."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError

from closedloop import validation
from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.embedded.kinds.base import Manifested
from closedloop.platforms.embedded.kinds.core import Secret
from closedloop.platforms.embedded.kinds.table import BY_NAME, KINDS

Kind = TypeVar("Kind", bound=Manifested)


def read(manifests: Iterable[Manifest]) -> list[Manifested]:
    """Check manifests. Raises `ManifestError` with a sentence for each fault in any of them."""
    objects: list[Manifested] = []
    sentences: list[str] = []
    for manifest in manifests:
        try:
            one = _model(manifest)
        except ManifestError as error:
            sentences += error.sentences
            continue
        one.read_from(manifest)
        objects.append(one)
        sentences += [one.sentence(fault.path, fault.message) for fault in one.faults()]
    if sentences:
        raise ManifestError(sentences)
    return objects


def of_kind(objects: Iterable[Manifested], kind: type[Kind]) -> Iterator[Kind]:
    """The objects of one kind."""
    return (one for one in objects if isinstance(one, kind))


def _model(manifest: Manifest) -> Manifested:
    where = f"{manifest.source}: {manifest.title}:"
    kind = BY_NAME.get(manifest.kind)
    if kind is None or kind.model is None:
        known = [one.kind for one in KINDS if one.model is not None]
        close = get_close_matches(manifest.kind, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"it knows {', '.join(known)}"
        raise ManifestError(
            [f"{where} kind is {manifest.kind!r}, which one machine does not support: {hint}"]
        )
    version = manifest.document.get("apiVersion")
    if version not in kind.api_versions:
        give = " or ".join(map(repr, kind.api_versions))
        raise ManifestError([f"{where} apiVersion is {version!r}: give {give}"])
    # The values of a Secret are not for a terminal or a log.
    show = _hide if kind.model is Secret else validation.short
    try:
        return kind.model.model_validate(manifest.document)
    except ValidationError as error:
        unknown = "is not supported on one machine: remove it"
        sentences = validation.faults(error, show=show, unknown=unknown)
        raise ManifestError(f"{where} {sentence}" for sentence in sentences) from None


def _hide(value: object) -> str:
    return f"of type {type(value).__name__}"
