"""The JSON object in a body, in every form in which Seldon's wrapper reads one.

Source: `get_request` and `get_multi_form_data_request` of `seldon_core.flask_utils` 1.17.1, and
`json.loads` of bytes, which they end in: UTF-8, UTF-16 or UTF-32, with or without a byte order
mark, as it is, in a form field `json`, or as the parts of a multipart form. What an executor left
compressed is decompressed.
"""

import base64
import json
import math
import zlib
from collections.abc import Callable
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, cast
from urllib.parse import parse_qs

from closedloop.loop.events import InvalidEvent

_MOST_BYTES = 64 << 20  # of a compressed body: a small one must not become gigabytes
_GZIP = b"\x1f\x8b"
_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")  # no JSON begins with an x
_EITHER = 32 + zlib.MAX_WBITS
_DIGITS = bytes.maketrans(b"123456789-", b"0" * 10)
_LONG = b"0" * 20  # characters of a whole number that may have more than 64 bits
_MANY = 500  # brackets: with fewer it is not nested too deeply for anybody

Loads = Callable[[bytes], Any]
"""A decoder of JSON in UTF-8, such as `orjson.loads`, for objects that it cannot read otherwise
than the standard library's does: it raises ValueError for what that takes and JSON has not."""


def parse_body(
    body: bytes, content_type: str = "application/json", loads: Loads | None = None
) -> dict[str, object]:
    """Decode a body to an object that can be encoded as JSON in UTF-8, the same with `loads`, which
    is several times as fast as the standard library.

    `NaN`, `Infinity` and `-Infinity` become these texts, as in proto3's JSON mapping, and half of
    a surrogate pair a question mark.

    Raises `InvalidEvent` (`bad_json` or `bad_encoding`).
    """
    # Most bodies are an object in UTF-8; the others are looked at more closely.
    if body[:1] == b"{" and body[1:2] != b"\0" and content_type == "application/json":
        if loads is not None and _plain(body):
            try:
                message: dict[str, object] = loads(body)
                return message
            except ValueError:
                pass  # it has NaN, or its fault is told below
        return _object(_utf8(body))
    body = _decompressed(body)
    kind = content_type.lower()
    if "multipart/form-data" in kind:
        return _multipart(body, content_type)
    if "application/x-www-form-urlencoded" in kind:
        fields = parse_qs(_text(body), keep_blank_values=True)
        if "json" in fields:
            return _object(fields["json"][0])
    return _object(_text(body))


def _plain(body: bytes) -> bool:
    """Whether decoders agree about a body: it has no long whole number and is not deep."""
    return _LONG not in body.translate(_DIGITS) and body.count(b"[") + body.count(b"{") < _MANY


def _decompressed(body: bytes) -> bytes:
    if not body.startswith((_GZIP, *_ZLIB)):
        return body
    decompressor = zlib.decompressobj(_EITHER)
    try:
        plain = decompressor.decompress(body, _MOST_BYTES)
    except zlib.error as error:
        raise InvalidEvent(
            "bad_encoding", f"the body looks compressed and is not: {error}: send it plain"
        ) from None
    if decompressor.unconsumed_tail:
        raise InvalidEvent(
            "too_large", f"the body is more than {_MOST_BYTES} bytes decompressed: send less"
        )
    if not decompressor.eof:
        raise InvalidEvent("bad_encoding", "the compressed body ends too early: send all of it")
    return plain


def _text(body: bytes) -> str:
    return _utf8(body, json.detect_encoding(body))


def _utf8(body: bytes, encoding: str = "utf-8") -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidEvent("bad_json", f"the body is not JSON: {error}: send UTF-8") from None


def _object(text: str) -> dict[str, object]:
    try:
        message = _DECODER.decode(text.removeprefix("\ufeff"))
        if "\\u" in text:
            message = _whole(message)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("bad_json", f"the body is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidEvent(
            "bad_json", f"the body is a JSON {type(message).__name__}: send an object"
        )
    return cast(dict[str, object], message)


def _multipart(body: bytes, content_type: str) -> dict[str, object]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode(errors="replace")
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    if not form.is_multipart():
        raise InvalidEvent("bad_json", "the body is no multipart form: name its boundary")
    message: dict[str, object] = {}
    for part in cast(list[Message], form.get_payload()):
        name = part.get_param("name", header="content-disposition")
        content = cast(bytes, part.get_payload(decode=True) or b"")
        if not isinstance(name, str):
            continue
        if name == "binData":
            message[name] = base64.b64encode(content).decode()
        elif name == "strData" or part.get_filename() is not None:
            message[name] = _text(content)
        else:
            message[name] = _value(_text(content))
    if not message:
        raise InvalidEvent("bad_json", "the multipart form has no fields: send a SeldonMessage's")
    only = message.get("json")
    try:
        return cast(dict[str, object], _whole(only if isinstance(only, dict) else message))
    except RecursionError as error:
        raise InvalidEvent("bad_json", f"a field of the form is not JSON: {error}") from None


def _whole(message: object) -> object:
    """The same without halves of surrogate pairs, which are no UTF-8."""
    return json.loads(json.dumps(message, ensure_ascii=False).encode(errors="replace"))


def _value(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("bad_json", f"a field of the form is not JSON: {error}") from None


def _finite(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else f"{'-' if value < 0 else ''}Infinity"


# Both also read numbers that JSON does not have, as Python's own `json.loads` does.
_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=str)
