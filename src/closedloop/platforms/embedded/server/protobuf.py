"""Objects in protobuf, in which clients written in Go send the kinds of their types: pure.

Field numbers are those of Kubernetes' `generated.proto` files. What the tables
below do not name is refused, unless it is zero or empty.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from closedloop.platforms.embedded.server.errors import Refusal

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: `of` is str, int, bool, bytes, or the fields of a message.

    A zero is left out, as in JSON, unless it `stays`.
    """

    name: str
    of: Any = str
    repeated: bool = False
    mapped: bool = False
    stays: bool = False


Message = Mapping[int, Field]


def _strings(*names: str) -> dict[int, Field]:
    """Fields of type string, numbered from 1."""
    return {number: Field(name) for number, name in enumerate(names, 1)}


_META: Message = {
    **_strings("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion"),
    11: Field("labels", mapped=True),
    12: Field("annotations", mapped=True),
    14: Field("finalizers", repeated=True),
}
_INT_OR_STRING: Message = {1: Field("type", int), 2: Field("intVal", int), 3: Field("strVal")}
_PORT: Message = {
    1: Field("name"),
    2: Field("protocol"),
    3: Field("port", int),
    4: Field("targetPort", _INT_OR_STRING),
    5: Field("nodePort", int),
    6: Field("appProtocol"),
}
_CONTAINER: Message = {
    1: Field("name"),
    2: Field("image"),
    3: Field("command", repeated=True),
    4: Field("args", repeated=True),
    6: Field(
        "ports",
        {1: Field("name"), 3: Field("containerPort", int), 4: Field("protocol")},
        repeated=True,
    ),
    7: Field("env", {1: Field("name"), 2: Field("value")}, repeated=True),
    14: Field("imagePullPolicy"),
}
_POD: Message = {
    2: Field("containers", _CONTAINER, repeated=True),
    3: Field("restartPolicy"),
    4: Field("terminationGracePeriodSeconds", int, stays=True),
    8: Field("serviceAccountName"),
    12: Field("hostPID", bool),
}
_DEPLOYMENT: Message = {
    1: Field("replicas", int, stays=True),
    2: Field("selector", {1: Field("matchLabels", mapped=True)}),
    3: Field("template", {1: Field("metadata", _META), 2: Field("spec", _POD)}),
}
_SERVICE: Message = {
    1: Field("ports", _PORT, repeated=True),
    2: Field("selector", mapped=True),
    3: Field("clusterIP"),
    4: Field("type"),
    7: Field("sessionAffinity"),
    10: Field("externalName"),
}
_OBJECTS: Mapping[str, Message] = {
    "Namespace": {1: Field("metadata", _META)},
    "ConfigMap": {
        1: Field("metadata", _META),
        2: Field("data", mapped=True),
        3: Field("binaryData", bytes, mapped=True),
        4: Field("immutable", bool),
    },
    "Secret": {
        1: Field("metadata", _META),
        2: Field("data", bytes, mapped=True),
        3: Field("type"),
        4: Field("stringData", mapped=True),
        5: Field("immutable", bool),
    },
    "Service": {1: Field("metadata", _META), 2: Field("spec", _SERVICE)},
    "Deployment": {1: Field("metadata", _META), 2: Field("spec", _DEPLOYMENT)},
    "DeleteOptions": {
        1: Field("gracePeriodSeconds", int, stays=True),
        2: Field("preconditions", _strings("uid", "resourceVersion")),
        3: Field("orphanDependents", bool),
        4: Field("propagationPolicy"),
        5: Field("dryRun", repeated=True),
    },
}


def decode(raw: bytes) -> dict[str, Any]:
    """The object in a message. Raises `Refusal` for a kind or field that is not read here."""
    if not raw.startswith(_MAGIC):
        raise Refusal(400, "the body of the request is no protobuf of Kubernetes")
    try:
        envelope = dict(_fields(raw[len(_MAGIC) :]))
        about = {1: Field("apiVersion"), 2: Field("kind")}
        kind: dict[str, Any] = _message(_raw(envelope.get(1, b"")), about, "TypeMeta")
        known = _OBJECTS.get(kind.get("kind", ""))
        if known is None:
            raise Refusal(
                415,
                f"a {kind.get('kind', 'thing')} is not read in protobuf here: send JSON,"
                " for example by kubectl apply -f",
            )
        return kind | _message(_raw(envelope.get(2, b"")), known, kind["kind"])
    except (IndexError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise Refusal(400, f"the protobuf of the request cannot be read: {error}") from None


def _message(raw: bytes, known: Message, title: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(raw):
        about = known.get(number)
        if about is None:
            # Clients send every field; a message in which all are zero says nothing.
            if not value or (isinstance(value, bytes) and _is_empty(value)):
                continue
            raise Refusal(
                415,
                f"field {number} of {title} is not read in protobuf here: send JSON,"
                " for example by kubectl apply -f",
            )
        if about.mapped:
            entry = _message(_raw(value), {1: Field("k"), 2: Field("v", about.of)}, about.name)
            found.setdefault(about.name, {})[entry.get("k", "")] = entry.get("v", "")
        elif about.repeated:
            found.setdefault(about.name, []).append(_value(value, about, title))
        else:
            one = _value(value, about, title)
            if one not in ("", 0, False, {}) or about.stays:
                found[about.name] = one
    return found


def _value(value: int | bytes, about: Field, title: str) -> Any:
    if about.of is _INT_OR_STRING:
        parts = _message(_raw(value), _INT_OR_STRING, about.name)
        return parts.get("strVal", "") if parts.get("type") else parts.get("intVal", 0)
    if isinstance(about.of, Mapping):
        return _message(_raw(value), about.of, f"{title}.{about.name}")
    if about.of is bool:
        return bool(value)
    if about.of is int:
        return value
    raw = _raw(value)
    return base64.b64encode(raw).decode() if about.of is bytes else raw.decode()


def _raw(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("it has a number where a text or message belongs")
    return value


def _is_empty(raw: bytes) -> bool:
    """Whether all fields of a message are zero or empty."""
    try:
        return all(
            not value or (isinstance(value, bytes) and _is_empty(value))
            for _, value in _fields(raw)
        )
    except (IndexError, ValueError):
        return False


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, by number."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        match tag & 7:
            case 0:
                value, at = _varint(raw, at)
                yield tag >> 3, value - (1 << 64) if value >> 63 else value
            case 2:
                length, at = _varint(raw, at)
                if at + length > len(raw):
                    raise ValueError("it ends in the middle of a field")
                yield tag >> 3, raw[at : at + length]
                at += length
            case 1 | 5 as width:
                at += 8 if width == 1 else 4
                yield tag >> 3, raw[at - (8 if width == 1 else 4) : at].strip(b"\x00")
            case other:
                raise ValueError(f"it has a field of type {other}")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = raw[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise ValueError("it has a number of more than 64 bits")
