import base64

from hypothesis import given
from hypothesis import strategies as st

from closedloop.services.request_logger.dead_letters import dead_letter, undelivered


@given(st.text(), st.integers(0, 20))
def test_a_cut_through_a_character_is_still_text(text: str, keep: int) -> None:
    body = text.encode()
    document = dead_letter({}, body, "bad_json", "", keep=keep).document
    assert document["cut"] is (len(body) > keep)
    assert text.startswith(str(document["body"]))


@given(st.binary())
def test_nothing_of_a_body_is_lost(body: bytes) -> None:
    document = dead_letter({}, body, "bad_json", "", keep=len(body)).document
    if "body" in document:
        assert str(document["body"]).encode() == body
    else:
        assert base64.b64decode(str(document["body_base64"])) == body


def test_one_event_for_one_reason_has_one_id() -> None:
    headers = {"Ce-Id": "1", "Ce-Source": "a"}
    one = dead_letter(headers, b"{", "bad_json", "", keep=10)
    assert one.id == dead_letter(headers, b"{", "bad_json", "", keep=10).id
    assert one.id != dead_letter(headers, b"{", "undelivered", "", keep=10).id
    assert one.id != dead_letter({**headers, "Ce-Id": "2"}, b"{", "bad_json", "", keep=10).id


def test_an_error_that_is_not_base64_is_kept_as_it_came() -> None:
    headers = {"ce-knativeerrordata": "plain words!", "ce-knativeerrorcode": "500"}
    assert undelivered(headers).endswith("500, plain words!")
