"""Which events a Trigger wants."""

from collections.abc import Mapping


def matches(filters: Mapping[str, str], attributes: Mapping[str, str]) -> bool:
    """Whether an event with these attributes passes `filter.attributes` of a Trigger.

    Every named attribute must be there and equal the given value, case
    included; the empty string stands for any value that is not empty. No
    filter passes everything.
    """
    return all(
        attributes.get(name) == value if value else bool(attributes.get(name))
        for name, value in filters.items()
    )
