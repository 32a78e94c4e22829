"""Label and field selectors."""

import pytest

from closedloop.platforms.embedded.server.errors import Refusal
from closedloop.platforms.embedded.server.selectors import fields, labels

POD = {
    "metadata": {"name": "one", "namespace": "ns", "labels": {"app": "a", "tier": "web"}},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("", True),
        ("app=a", True),
        ("app==a,tier=web", True),
        ("app=b", False),
        ("app!=b", True),
        ("absent!=b", True),
        ("app", True),
        ("!app", False),
        ("!absent", True),
        ("app in (a, b)", True),
        ("app in (b,c),tier", False),
        ("app notin (b)", True),
    ],
)
def test_labels(selector: str, chosen: bool) -> None:
    assert labels(selector)(POD) is chosen


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("metadata.name=one", True),
        ("metadata.name=two", False),
        ("metadata.name!=two,metadata.namespace=ns", True),
        ("status.phase=Running", True),
        ("status.phase==Pending", False),
    ],
)
def test_fields(selector: str, chosen: bool) -> None:
    assert fields(selector, "Pod")(POD) is chosen


@pytest.mark.parametrize("selector", ["spec.replicas=1", "metadata.name"])
def test_fields_that_cannot_be_selected_by_are_refused(selector: str) -> None:
    with pytest.raises(Refusal) as refused:
        fields(selector, "Pod")
    assert refused.value.code == 400


@pytest.mark.parametrize("selector", ["a=b=c", "app in a", "a b"])
def test_what_is_no_label_selector_is_refused(selector: str) -> None:
    with pytest.raises(Refusal) as refused:
        labels(selector)
    assert refused.value.code == 400
