import codecs
import gzip
import json
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop.loop.body import parse_body
from closedloop.loop.events import InvalidEvent
from tests.json_values import JSON

MESSAGE = {"data": {"names": ["é"], "ndarray": [[1, 2.5, "x"]]}}
TEXT = json.dumps(MESSAGE, ensure_ascii=False)
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "multipart/form-data; boundary=cut"


def reason(body: bytes, content_type: str = "application/json") -> str:
    with pytest.raises(InvalidEvent) as refused:
        parse_body(body, content_type)
    sentence = str(refused.value)
    sentence.encode()
    assert len(sentence) < 500
    return refused.value.reason


def both(body: bytes) -> str:
    """A body as either decoder reads it, with the types of its values, or why it is refused."""
    read = []
    for loads in (None, orjson.loads):
        try:
            read.append(repr(parse_body(body, loads=loads)))
        except InvalidEvent as error:
            read.append(f"{error.reason}: {error}")
    assert read[0] == read[1]
    return read[0]


@given(st.dictionaries(st.text(), JSON), st.booleans(), st.data())
def test_a_faster_decoder_reads_the_same(
    message: dict[str, object], ascii_only: bool, data: st.DataObject
) -> None:
    body = json.dumps(message, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    both(body)
    at = data.draw(st.integers(1, len(body)))
    both(body[:at] + data.draw(st.binary(max_size=3)) + body[at + data.draw(st.integers(0, 3)) :])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1e999", "'Infinity'"),
        ("-1e999", "'-Infinity'"),
        ("NaN", "'NaN'"),
        ("5e-324", "5e-324"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ('"\\ud800"', "'?'"),
        ('"\\ud83d\\ude00"', "'\U0001f600'"),
        ('1, "a": 2', "2"),
        ("[" * 600 + "]" * 600, "[" * 600 + "]" * 600),
    ],
)
def test_a_faster_decoder_reads_what_it_might_not(value: str, read: str) -> None:
    assert both(f'{{"a": {value}}}'.encode()) == f"{{'a': {read}}}"


def multipart(**parts: bytes | tuple[bytes, str]) -> bytes:
    """A form; a part that is a file has its file name beside it."""
    said = b""
    for name, part in parts.items():
        content, file = part if isinstance(part, tuple) else (part, "")
        filename = f'; filename="{file}"' if file else ""
        head = f'--cut\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'
        said += head.encode() + content + b"\r\n"
    return said + b"--cut--\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", [True, False])
def test_reads_every_encoding_of_json(encoding: str, mark: bool) -> None:
    body = ("\ufeff" if mark else "").encode(encoding) + TEXT.encode(encoding)
    assert parse_body(body) == MESSAGE


def test_reads_what_codecs_with_a_mark_write() -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert parse_body(TEXT.encode(encoding)) == MESSAGE
    assert parse_body(codecs.BOM_UTF8 + b" {} ") == {}


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_reads_what_is_still_compressed(level: int) -> None:
    assert parse_body(gzip.compress(TEXT.encode(), level)) == MESSAGE
    assert parse_body(zlib.compress(TEXT.encode(), level)) == MESSAGE
    assert parse_body(gzip.compress(TEXT.encode("utf-16"), level)) == MESSAGE


def test_a_small_body_does_not_become_gigabytes() -> None:
    bomb = zlib.compressobj(9)
    body = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(256)) + bomb.flush()
    tracemalloc.start()
    try:
        assert reason(body) == "too_large"
        assert tracemalloc.get_traced_memory()[1] < 256 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(TEXT.encode(), mtime=0)[:-9],
        gzip.compress(TEXT.encode(), mtime=0)[:5],
        b"\x1f\x8bnot gzip",
        zlib.compress(TEXT.encode())[:-5],
        b"x\x9cnot zlib",
    ],
)
def test_what_only_looks_compressed_is_refused(body: bytes) -> None:
    assert reason(body) == "bad_encoding"


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", FORM.upper()])
def test_reads_the_json_of_a_form(kind: str) -> None:
    assert parse_body(urlencode({"a": "b", "json": TEXT}).encode(), kind) == MESSAGE


def test_json_that_only_claims_to_be_a_form_is_json() -> None:
    # curl -d says so, whatever is sent.
    assert parse_body(TEXT.encode(), FORM) == MESSAGE


@pytest.mark.parametrize("body", [b"", b"a=b", b"json=", b"json=[]", b"json=%ff"])
def test_a_form_without_an_object_is_refused(body: bytes) -> None:
    assert reason(body, FORM) == "bad_json"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"json": TEXT.encode()}, MESSAGE),
        ({"json": (TEXT.encode(), "a.json")}, {"json": TEXT}),
        ({"data": b'{"ndarray": [1]}', "meta": b"{}"}, {"data": {"ndarray": [1]}, "meta": {}}),
        ({"strData": b"{not json}"}, {"strData": "{not json}"}),
        ({"strData": ("é".encode(), "a.txt")}, {"strData": "é"}),
        ({"binData": (b"\x00\xff", "a.bin")}, {"binData": "AP8="}),
        ({"binData": b"\x00\xff"}, {"binData": "AP8="}),
        ({"jsonData": b"[1]"}, {"jsonData": [1]}),
        ({"jsonData": b'"\\ud800"'}, {"jsonData": "?"}),
        ({"jsonData": b"NaN"}, {"jsonData": "NaN"}),
    ],
)
def test_reads_the_parts_of_a_multipart_form(
    parts: dict[str, Any], message: dict[str, object]
) -> None:
    assert parse_body(multipart(**parts), BOUNDARY) == message
    assert parse_body(multipart(**parts), 'Multipart/Form-Data; boundary="cut"') == message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", BOUNDARY),
        (b"--cut--", BOUNDARY),
        (multipart(data=b"{"), BOUNDARY),
        (multipart(data=b"\xff"), BOUNDARY),
        (multipart(strData=b"\xff"), BOUNDARY),
        (multipart(data=b"1"), "multipart/form-data"),
        (multipart(data=b"1"), "multipart/form-data; boundary=other"),
        (TEXT.encode(), BOUNDARY),
        (multipart(data=b"[" * 100_000), BOUNDARY),
    ],
)
def test_a_multipart_form_that_cannot_be_read_is_refused(body: bytes, kind: str) -> None:
    assert reason(body, kind) == "bad_json"


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"[]", b"null", b"1", b"NaN", b'"text"', b"{} {}", b'{"a": nan}',
        b'{"a": +Infinity}', b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', b"{'a': 1}",
        b"[" * 100_000, b'{"a":' * 100_000, b'{"a": ' + b"1" * 5000 + b"}", b"\x00",
        "{".encode("utf-16"), b"\xff\xfe\x00",
    ],
)  # fmt: skip
def test_refuses_what_is_no_json_object(body: bytes) -> None:
    assert reason(body) == "bad_json"


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e999", "Infinity"),
        ("-1e999", "-Infinity"),
        ("1e-999", 0.0),
        ("1" * 400 + ".0", "Infinity"),
        ("1" * 400, int("1" * 400)),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\ud800"', "?"),
        ('"a\\udfffb"', "a?b"),
        ('"\\u0000"', "\x00"),
        ('{"\\udfff": 1}', {"?": 1}),
    ],
)
def test_what_json_in_utf8_cannot_hold_becomes_text_that_it_can(said: str, value: object) -> None:
    parsed = parse_body(f'{{"a": {said}}}'.encode())
    assert parsed == {"a": value}
    json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()


@given(st.dictionaries(st.text(), JSON), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_was_parsed_can_be_written_again(message: dict[str, Any], encoding: str) -> None:
    parsed = parse_body(json.dumps(message).encode(encoding))
    again = json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    assert parse_body(again) == parsed
    if json.loads(json.dumps(message)) == message and "\\ud" not in json.dumps(message):
        assert "inf" in repr(message) or parsed == message


@given(st.binary(max_size=200), st.sampled_from(["application/json", FORM, BOUNDARY, "", "\udcff"]))
def test_any_bytes_are_read_or_refused(body: bytes, kind: str) -> None:
    with suppress(InvalidEvent):
        json.dumps(parse_body(body, kind), allow_nan=False, ensure_ascii=False).encode()


@given(st.binary(max_size=200))
def test_any_part_of_a_form_is_read_or_refused(content: bytes) -> None:
    for name in ("json", "data", "strData", "binData"):
        with suppress(InvalidEvent):
            parsed = parse_body(multipart(**{name: content}), BOUNDARY)
            json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()


def test_the_name_of_a_part_is_text_that_can_be_written() -> None:
    body = multipart(data=b"1").replace(b'"data"', b'"\xff"')
    json.dumps(parse_body(body, BOUNDARY), ensure_ascii=False).encode()
