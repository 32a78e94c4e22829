"""Alerts in Elasticsearch."""

from elasticsearch import AsyncElasticsearch, ConflictError, NotFoundError

from closedloop.log.templates import IndexTemplates, template
from closedloop.loop import rfc3339
from closedloop.services.alert_logger.notification import Alert, merged

INDEX = "closedloop-alerts"

_ATTEMPTS = 5

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


class Store:
    """Writes alerts so that none replaces a newer status, whoever else writes them."""

    def __init__(self, client: AsyncElasticsearch, templates: IndexTemplates) -> None:
        self._client = client
        self._templates = templates

    async def write(self, alert: Alert) -> bool:
        """Bring the alert's document up to date; False when it was.

        Raises one of `index_templates.UNAVAILABLE`.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return await self._write(alert)
            except ConflictError:
                continue  # another replica was faster: merge with what it wrote
        return await self._write(alert)

    async def _write(self, alert: Alert) -> bool:
        now = rfc3339.now()
        name = alert.document_id
        try:
            found = await self._client.get(index=INDEX, id=name)
        except NotFoundError as error:
            if "error" in error.body:  # it is the index that is not there
                await self._templates.put()
            await self._client.create(index=INDEX, id=name, document=merged(None, alert, now))
            return True
        document = merged(found["_source"], alert, now)
        if document == found["_source"]:
            return False
        await self._client.index(
            index=INDEX,
            id=name,
            document=document,
            if_seq_no=found["_seq_no"],
            if_primary_term=found["_primary_term"],
        )
        return True
