from hypothesis import given
from hypothesis import strategies as st

from closedloop.platforms.embedded.broker.delivery import matches

NAMES = st.sampled_from(["type", "source", "endpoint", "requestid"])
VALUES = st.sampled_from(["", "a", "A", "b"])
MAPS = st.dictionaries(NAMES, VALUES)


@given(filters=MAPS, attributes=MAPS)
def test_an_event_passes_when_it_passes_each_attribute_alone(
    filters: dict[str, str], attributes: dict[str, str]
) -> None:
    alone = [matches({name: value}, attributes) for name, value in filters.items()]
    assert matches(filters, attributes) == all(alone)


@given(attributes=MAPS)
def test_no_filter_passes_everything(attributes: dict[str, str]) -> None:
    assert matches({}, attributes)


@given(attributes=MAPS, name=NAMES, value=VALUES)
def test_one_attribute_must_be_there_and_equal(
    attributes: dict[str, str], name: str, value: str
) -> None:
    passes = matches({name: value}, attributes)
    if attributes.get(name, "") == "":
        assert not passes
    elif value == "":
        assert passes
    else:
        assert passes == (attributes[name] == value)


def test_case_matters() -> None:
    assert not matches({"type": "a"}, {"type": "A"})
    assert not matches({"Type": "a"}, {"type": "a"})
