"""The key of a row: its request id and place in the batch, one to one, as a document's id."""

import re

_ITEM = re.compile(r"-item-\d+\Z", re.ASCII)


def document_id(request_id: str, row: int, rows: int) -> str:
    """A lone row has the request's own id, row i of a batch that id with `-item-<i>`.

    A lone row whose request id ends like an item's has an ending that no item has, so that no
    two rows of two requests share an id.
    """
    if rows > 1:
        return f"{request_id}-item-{row}"
    return f"{request_id}-item-00" if _ITEM.search(request_id) else request_id


def request_of(name: str) -> str:
    """The request id of the row whose document has this id."""
    return _ITEM.sub("", name)
