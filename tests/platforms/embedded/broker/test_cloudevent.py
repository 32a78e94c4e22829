import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from closedloop.platforms.embedded.broker.cloudevent import (
    CloudEvent,
    InvalidCloudEvent,
    admit,
    from_http,
    from_message,
    is_event,
    to_http,
    to_message,
    with_extensions,
)
from tests.platforms.embedded.broker.parts import event

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1)
NAMES = st.from_regex(r"x[a-z0-9]{1,10}", fullmatch=True)


def read(headers: dict[str, str], body: bytes = b"") -> CloudEvent:
    return from_http(CIMultiDict(headers), body)


@given(body=st.binary(), extensions=st.dictionaries(NAMES, TEXT))
def test_a_stored_event_is_the_event(body: bytes, extensions: dict[str, str]) -> None:
    one = admit(read(event(1, **extensions), body), "2026-01-31T12:00:00Z")
    assert from_message(to_message(one)) == one


@given(extensions=st.dictionaries(NAMES, TEXT))
def test_binary_mode_out_and_in_is_the_same_event(extensions: dict[str, str]) -> None:
    one = read(event(1, **extensions))
    assert read(to_http(one)) == one


def test_names_of_headers_have_no_case() -> None:
    upper = {name.upper(): value for name, value in event(1).items()}
    assert read(upper) == read(event(1))


def test_entering_stamps_and_counts_down() -> None:
    now = "2026-01-31T12:00:00Z"
    once = admit(read(event(1)), now)
    assert (once.ttl, once.attributes["knativearrivaltime"]) == (255, now)
    assert admit(once, now).ttl == 254
    assert admit(read(event(1, knativebrokerttl="2")), now).ttl == 1
    with pytest.raises(InvalidCloudEvent, match="'e1' is spent"):
        admit(read(event(1, knativebrokerttl="1")), now)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.120Z", "2026-01-31T12:00:00.12Z"),
        ("2026-01-31T12:00:00.1234567891Z", "2026-01-31T12:00:00.123456789Z"),
        ("2026-01-31T00:30:00+19:00", "2026-01-30T05:30:00Z"),
        ("2026-01-31T23:30:00-24:00", "2026-02-01T23:30:00Z"),
        ("2026-01-31T1:02:03,5Z", "2026-01-31T01:02:03.5Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_times_are_as_go_writes_them(said: str, kept: str | None) -> None:
    assert read(event(1, time=said)).attributes.get("time") == kept


@pytest.mark.parametrize(
    "said",
    [
        *("2026-01-31t12:00:00z", "2026-01-31T12:00:00z", "2026-01-31 12:00:00Z"),
        *("2026-01-31T12:00:00", "2026-01-31T12:00:00.Z", "2026-01-31T24:00:00Z"),
        *("2026-02-29T12:00:00Z", "2026-01-31T12:00:60Z", "2026-01-31T12:00:00+25:00"),
        *("9999-12-31T23:00:00-02:00", "2026-01-31T12:00:00+0100", "٢026-01-31T12:00:00Z"),
    ],
)
def test_other_times_are_refused(said: str) -> None:
    with pytest.raises(InvalidCloudEvent, match="send RFC 3339"):
        read(event(1, time=said))


def test_of_a_header_that_comes_twice_the_first_counts() -> None:
    twice = [*event(1).items(), ("ce-x", "a"), ("CE-X", "b")]
    assert from_http(CIMultiDict(twice), b"").attributes["x"] == "a"


def test_the_hops_are_never_delivered() -> None:
    one = admit(read(event(1, knativebrokerttl="7")), "2026-01-31T12:00:00Z")
    assert "ce-knativebrokerttl" not in to_http(one)


def test_extensions_are_added() -> None:
    assert with_extensions(read(event(1)), {"a": "b"}).attributes["a"] == "b"


@pytest.mark.parametrize(
    ("headers", "claims"),
    [
        (event(1), True),
        ({"Content-Type": "application/cloudevents+json; charset=utf-8"}, True),
        ({"Content-Type": "application/json", "ce-id": "1"}, False),
        ({}, False),
    ],
)
def test_what_claims_to_be_an_event(headers: dict[str, str], claims: bool) -> None:
    assert is_event(CIMultiDict(headers)) is claims


@pytest.mark.parametrize(
    ("document", "body", "media_type"),
    [
        (b'"data":"text","datacontenttype":"text/plain"', b"text", "text/plain"),
        (b'"data":"text"', b'"text"', "application/json"),
        (b'"data":[1,2]', b"[1, 2]", "application/json"),
        (b'"data_base64":"AP8=","datacontenttype":"image/png"', b"\x00\xff", "image/png"),
        (b'"subject":null', b"", None),
    ],
)
def test_structured_mode(document: bytes, body: bytes, media_type: str | None) -> None:
    text = b'{"specversion":"1.0","id":"1","source":"s","type":"t","on":true,' + document + b"}"
    one = read({"content-type": "application/cloudevents+json"}, text)
    assert (one.body, one.attributes.get("datacontenttype")) == (body, media_type)
    assert one.attributes["on"] == "true"
    assert "subject" not in one.attributes


def test_a_message_of_someone_else_is_no_event() -> None:
    with pytest.raises(ValueError, match="no line"):
        from_message(b"hello")
