"""The indices of the inference log: their templates, and the declarations kept beside it.

Payloads are free-form, so nothing in them is mapped or even looked at, for field
names as `""` and `a..b` would be refused: they are read back whole and never
decide the type of a field. Mapped are the fields that one filters
and aggregates by. `logged_at` is the logger's own clock at the last write of a
document; a reader that polls for changes ranges over it, with an overlap for
refreshes and for several loggers' clocks. `first_logged_at` is the same of the first
write, by which `hourly` counts.
"""

from collections.abc import Mapping

from elasticsearch import Elasticsearch

from closedloop.log.operations import FIRST_WRITE
from closedloop.log.templates import Template, template
from closedloop.loop.keys import DEAD_LETTERS, INDEX_PATTERN, OWNER
from closedloop.loop.output import Outputs, read_outputs
from closedloop.loop.scoring.said import ADVICE
from closedloop.loop.scoring.verdict import SUMS

LOG = "closedloop-inference-log"
"""The name of the log's template, and of its lifecycle policy where logs roll over."""
OUTPUTS = "closedloop-outputs"
"""The declarations by which the log is scored: a document for each, named as it is in the file."""

# Lucene refuses a document with a term past 32,766 bytes: too long a word is
# kept without being indexed rather than refused.
_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_DATE = {"type": "date"}


_FREE = {"type": "object", "enabled": False}
_NUMBER = {"type": "double", "ignore_malformed": True}
_INTEGER = {"type": "integer"}
_FLAG = {"type": "boolean"}


def _section(*free: str, **fields: Mapping[str, object]) -> dict[str, object]:
    return {
        "properties": {
            "ce-time": _DATE,
            "ce-id": _KEYWORD,
            "ce-source": _KEYWORD,
            "rows": _INTEGER,
            "cut": _FLAG,
            "bytes": {"type": "long"},
            **dict.fromkeys(("instance", "names", *free), _FREE),
            **fields,
        }
    }


_MESSAGE = ("payload", "elements", "meta")
_FEEDBACK = ("truth", "request", "response", "other")


TEMPLATES: Mapping[str, Template] = {
    LOG: template(
        INDEX_PATTERN,
        {
            "@timestamp": _DATE,
            "logged_at": _DATE,
            FIRST_WRITE: _DATE,
            "ServingEngine": _KEYWORD,
            **dict.fromkeys(OWNER, _KEYWORD),
            "Ce-Modelid": _KEYWORD,
            "DocumentId": _KEYWORD,
            "RequestId": _KEYWORD,
            "Row": _INTEGER,
            "answer_sizes": _INTEGER,
            "request": _section(*_MESSAGE, dataType=_KEYWORD),
            "response": _section(*_MESSAGE, dataType=_KEYWORD),
            # A reward past the range of a double is kept as well, only not added up.
            "feedback": _section(
                *_FEEDBACK, reward=_NUMBER, via=_KEYWORD, lent_to=_KEYWORD, answer_rows=_INTEGER
            ),
            "feedback_history": _FREE,
            "delay_seconds": _NUMBER,  # from the answer to the truth that counts
            "request_history": _FREE,
            "score": {
                "properties": {
                    "state": _KEYWORD,
                    "reason": _KEYWORD,
                    "output": _KEYWORD,
                    "correct": _FLAG,
                    "predicted": _KEYWORD,
                    "actual": _KEYWORD,
                    "predicted_labels": _KEYWORD,
                    "actual_labels": _KEYWORD,
                    **dict.fromkeys(SUMS, _NUMBER),
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
            **dict.fromkeys(OWNER, _KEYWORD),
            "body_bytes": {"type": "long"},
            "cut": _FLAG,
        },
    ),
    "closedloop-outputs": template(
        OUTPUTS, {"digest": _KEYWORD, "declared_at": _DATE, "output": _FREE}
    ),
}


def in_shards(shards: int) -> Mapping[str, Template]:
    """The templates, with so many primary shards for each index of the log."""
    body = TEMPLATES[LOG]
    inner = body["template"]
    settings = {**inner["settings"], "number_of_shards": shards}
    return {**TEMPLATES, LOG: {**body, "template": {**inner, "settings": settings}}}


def rollover_policy(age: str, size: str) -> dict[str, object]:
    """The policy by which a log's newest index makes place for a new one.

    It does when it is as old as `age`, such as `30d`, or a primary shard of it as large as `size`,
    such as `30gb`, whichever comes first; "" for no such bound. Older indices stay: a truth may
    still come for an answer in them.
    """
    bounds = {"max_age": age, "max_primary_shard_size": size}
    rollover = {name: bound for name, bound in bounds.items() if bound}
    return {"phases": {"hot": {"actions": {"rollover": rollover}}}}


def declared_outputs(client: Elasticsearch) -> Outputs:
    """The declared output of each predictor. Raises the client's errors."""
    found = client.search(
        index=OUTPUTS,
        size=10_000,
        source_includes=["output"],
        allow_no_indices=True,
        ignore_unavailable=True,
    )
    return read_outputs({hit["_id"]: hit["_source"]["output"] for hit in found["hits"]["hits"]})


# Of outcomes other than `unscorable`, for which each reason has advice of its own.
_BY_OUTCOME = {
    "unmatched": "no answer is known for it: send the Seldon-Puid of the prediction with it",
    "refused": f"see index {DEAD_LETTERS} for each (counted since the metrics server started)",
    "dead_letter": f"see index {DEAD_LETTERS} for each (counted since the logger started)",
}


def advice(outcome: str, reason: str) -> str:
    """The remedy for feedback that did not count, by outcome and reason; empty if unknown."""
    return _BY_OUTCOME.get(outcome) or ADVICE.get(reason, "")
