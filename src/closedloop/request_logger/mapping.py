"""The index templates of the inference log and of the dead letters.

Payloads are free-form, so nothing in them is mapped: they are read back whole
and never decide the type of a field. What is mapped is what one filters and
aggregates by. `logged_at` is the logger's own clock at the last write of a
document; whoever polls for changes ranges over it, with an overlap for
refreshes and for several loggers' clocks.
"""

from collections.abc import Mapping

from closedloop.documents import INDEX_PATTERN
from closedloop.index_templates import Template, template

DEAD_LETTERS = "closedloop-dead-letters"

# Lucene refuses a document with a term past 32,766 bytes: too long a word is
# kept without being indexed rather than refused.
_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_DATE = {"type": "date"}


def _section(**fields: Mapping[str, object]) -> dict[str, object]:
    return {"properties": {"ce-time": _DATE, "ce-id": _KEYWORD, **fields}}


TEMPLATES: Mapping[str, Template] = {
    "closedloop-inference-log": template(
        INDEX_PATTERN,
        {
            "@timestamp": _DATE,
            "logged_at": _DATE,
            "ServingEngine": _KEYWORD,
            "Ce-Namespace": _KEYWORD,
            "Ce-Inferenceservicename": _KEYWORD,
            "Ce-Endpoint": _KEYWORD,
            "Ce-Modelid": _KEYWORD,
            "RequestId": _KEYWORD,
            "Row": {"type": "integer"},
            "request": _section(dataType=_KEYWORD),
            "response": _section(dataType=_KEYWORD),
            # A reward past the range of a float is kept as well, only not added up.
            "feedback": _section(reward={"type": "float", "ignore_malformed": True}),
            "score": {
                "properties": {
                    "state": _KEYWORD,
                    "predicted": _KEYWORD,
                    "actual": _KEYWORD,
                    "correct": {"type": "boolean"},
                }
            },
        },
    ),
    "closedloop-dead-letters": template(
        DEAD_LETTERS,
        {
            "@timestamp": _DATE,
            "reason": _KEYWORD,
            "error": {"type": "text"},
            "type": _KEYWORD,
            "RequestId": _KEYWORD,
            "Ce-Namespace": _KEYWORD,
            "Ce-Inferenceservicename": _KEYWORD,
            "Ce-Endpoint": _KEYWORD,
            "body_bytes": {"type": "long"},
            "cut": {"type": "boolean"},
        },
    ),
}
