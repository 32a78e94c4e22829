"""Dead letters: events that cannot be logged, kept where a person can see them, and why."""

import base64
import codecs
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from closedloop.loop import rfc3339
from closedloop.loop.sections import Document

_SECRET = frozenset({"authorization", "cookie", "proxy-authorization"})
_ERROR_CHARACTERS = 1000
_NAMED = {
    "type": "ce-type",
    "RequestId": "ce-requestid",
    "Ce-Namespace": "ce-namespace",
    "Ce-Inferenceservicename": "ce-inferenceservicename",
    "Ce-Endpoint": "ce-endpoint",
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One document of the dead-letter index; the same event for the same reason has one id."""

    id: str
    reason: str
    document: Document


def dead_letter(
    headers: Mapping[str, str],
    body: bytes,
    reason: str,
    error: str,
    *,
    keep: int,
    size: int | None = None,
) -> DeadLetter:
    """Keep headers and the first `keep` bytes of `body`, whose full size is `size` bytes.

    The body is text as `body` where it is UTF-8, else base64 as `body_base64`.
    Headers that carry credentials are left out.
    """
    kept = body[:keep]
    size = len(body) if size is None else size
    readable = {
        name.lower(): _clean(value)
        for name, value in headers.items()
        if name.lower() not in _SECRET
    }
    document: Document = {
        "@timestamp": rfc3339.now(),
        "reason": reason,
        "error": _clean(error)[:_ERROR_CHARACTERS],
        "headers": readable,
        "body_bytes": size,
        "cut": len(kept) < size,
        **{field: readable[name] for field, name in _NAMED.items() if name in readable},
    }
    try:
        # A character that the cut went through does not make it another encoding.
        whole = len(kept) == size
        document["body"] = codecs.getincrementaldecoder("utf-8")().decode(kept, final=whole)
    except UnicodeDecodeError:
        document["body_base64"] = base64.b64encode(kept).decode("ascii")
    said = (reason, readable.get("ce-source", ""), readable.get("ce-id", ""))
    digest = hashlib.sha256("\0".join(said).encode() + b"\0" + body)
    return DeadLetter(digest.hexdigest()[:40], reason, document)


def undelivered(headers: Mapping[str, str]) -> str:
    """The word of a broker about an event that it could not deliver.

    Source: Knative Eventing's extension attributes `knativeerrordest`,
    `knativeerrorcode` and `knativeerrordata` (base64).
    """
    data = headers.get("ce-knativeerrordata", "")
    with suppress(ValueError):  # not base64: as it came is better than nothing
        data = base64.b64decode(data, validate=True).decode("utf-8", "replace")
    destination = headers.get("ce-knativeerrordest") or "an unnamed subscriber"
    code = headers.get("ce-knativeerrorcode") or "no status"
    return f"the broker could not deliver it to {destination}: {code}{data and f', {data}'}"


def _clean(text: str) -> str:
    """Header bytes that were not UTF-8 (surrogates, to Python) made visible."""
    return text.encode("utf-8", "backslashreplace").decode()
