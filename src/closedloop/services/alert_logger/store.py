"""Alerts in Elasticsearch."""

from functools import partial

from closedloop.log.operations import Key
from closedloop.log.store import Documents, End
from closedloop.log.templates import template
from closedloop.loop import rfc3339
from closedloop.services.alert_logger.notification import Alert, Document, merged

INDEX = "closedloop-alerts"

_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_DATE = {"type": "date"}
TEMPLATES = {
    "closedloop-alerts": template(
        INDEX,
        {
            "@timestamp": _DATE,
            "startsAt": _DATE,
            "endsAt": _DATE,
            "firing_logged_at": _DATE,
            "resolved_logged_at": _DATE,
            "fingerprint": _KEYWORD,
            "status": _KEYWORD,
            "alertname": _KEYWORD,
            "severity": _KEYWORD,
        },
    )
}


class Refused(ValueError):
    """Elasticsearch does not take an alert; the message says why."""


class Unavailable(Exception):
    """Elasticsearch did not take an alert for now; the message says why."""


class Store:
    """Writes alerts so that none replaces a newer status, however many write them."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def write(self, alert: Alert) -> bool:
        """Bring the alert's document up to date; False when it was.

        Raises `Refused`, `Unavailable` or one of `templates.UNAVAILABLE`.
        """
        key = (INDEX, alert.document_id)
        change = partial(_merged, alert, rfc3339.now())
        ended = (await self._documents.change({key: change}, stored=_as_it_is))[key]
        if ended.how is End.REFUSED:
            raise Refused(ended.error)
        if ended.how is End.GIVEN_UP:
            raise Unavailable(ended.error or "others change it all the time")
        return ended.how is End.WRITTEN


def _merged(alert: Alert, now: str, known: Document | None) -> Document:
    return merged(known, alert, now)


def _as_it_is(_: Key, document: Document) -> Document:
    return document
