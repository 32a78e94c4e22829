"""Keys of the log: the index of a predictor, the id of a row's document, and its owner.

One index a predictor, one document a row. Keys are one to one: two owners never share a document.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_PREFIX = "inference-log-seldon-"
INDEX_PATTERN = f"{_PREFIX}*"
DEAD_LETTERS = "closedloop-dead-letters"
"""The index of what was refused, by anybody."""
LONGEST_NAMES = 255 - len(f"{_PREFIX}--")
"""How many bytes the three names of a predictor may have together, by Elasticsearch's limit."""

OWNER = ("Ce-Namespace", "Ce-Inferenceservicename", "Ce-Endpoint")
"""The fields of a document that say its predictor."""

_FORBIDDEN = re.compile(r'[!@#$"<>/?*\\|,: ]')
_GENERATION = re.compile(r"-\d{6,}\Z", re.ASCII)
_ITEM = re.compile(r"-item-\d+\Z", re.ASCII)


class Predictor(NamedTuple):
    """The owner of an event, a document or a count."""

    namespace: str
    deployment: str
    predictor: str


@lru_cache(maxsize=1024)  # there are few predictors and many events
def index_name(namespace: str, deployment: str, predictor: str) -> str:
    """The index of one predictor's log, without the characters that an index name may not have.

    Two predictors may have one name for both: every read filters by `OWNER`.
    """
    name = f"{_PREFIX}{namespace}-{deployment}-{predictor}"
    return _FORBIDDEN.sub("", name).lower()


def logs_of(index: str, aliases: Iterable[str]) -> list[str]:
    """The aliases under which an index is part of a log: Elasticsearch's rollover gives each of
    its indices the alias and a number of six digits as the name. Any other alias is somebody's own.
    """
    log = _GENERATION.sub("", index)
    return [alias for alias in aliases if alias == log != index]


def owned_by(predictor: Predictor) -> list[dict[str, object]]:
    """Elasticsearch filters for the documents of one predictor."""
    return [{"term": {field: name}} for field, name in zip(OWNER, predictor, strict=True)]


def document_id(request_id: str, row: int, rows: int) -> str:
    """The id of a row's document: a lone row has the request's own id, row i of a batch that id
    with `-item-<i>`.

    A lone row whose request id ends like an item's has an ending that no item has, so that no
    two rows of two requests share an id.
    """
    if rows > 1:
        return f"{request_id}-item-{row}"
    if "-item-" in request_id and _ITEM.search(request_id):
        return f"{request_id}-item-00"
    return request_id


def request_of(name: str) -> str:
    """The request id of the row whose document has this id."""
    return _ITEM.sub("", name)


def kept_apart(name: str, owner: Predictor) -> str:
    """The document id for `owner` where another predictor's document has the plain one."""
    return f"{name}@{hashlib.sha256(json.dumps(owner).encode()).hexdigest()[:12]}"
