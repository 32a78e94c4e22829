"""The alert logger's HTTP side: `POST /alerts` takes Alertmanager's webhook notifications.

200 with an empty body means that every alert of it is in Elasticsearch, 503
that it is to be sent again (Alertmanager does), 400 that it cannot be read
(Alertmanager gives up and logs the sentence); the alerts of it that can be read are kept.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, Counter

from closedloop.log.store import Documents
from closedloop.log.templates import UNAVAILABLE, IndexTemplates
from closedloop.services.alert_logger.notification import InvalidNotification, alerts_of
from closedloop.services.alert_logger.store import TEMPLATES, Refused, Store, Unavailable
from closedloop.services.kit import service
from closedloop.services.kit.asgi import FAULT, Answer, Application, Headers, Reply

_log = structlog.get_logger(__name__)


class Settings(service.Settings):
    """Each field is the environment variable of the same name in upper case."""

    elasticsearch_url: str = "http://127.0.0.1:9200"
    elasticsearch_seconds: float = 5.0
    max_notification_bytes: int = 1 << 20


def create_app(settings: Settings, registry: CollectorRegistry) -> Application:
    """The service; it needs not find Elasticsearch when it starts."""
    client = AsyncElasticsearch(
        settings.elasticsearch_url,
        basic_auth=settings.basic_auth,
        request_timeout=settings.elasticsearch_seconds,
        max_retries=0,  # Alertmanager sends again
    )
    templates = IndexTemplates(client, TEMPLATES)
    receiver = _Receiver(
        Store(Documents(client, templates)), registry, settings.max_notification_bytes
    )

    @asynccontextmanager
    async def lifetime() -> AsyncIterator[None]:
        watching = asyncio.create_task(templates.watch())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.close()

    return Application(
        {"/alerts": receiver.alerts},
        most_bytes=settings.max_notification_bytes,
        registry=registry,
        why_not_ready=templates.why_not_ready,
        lifetime=lifetime,
    )


class _Receiver:
    def __init__(self, store: Store, registry: CollectorRegistry, most_bytes: int) -> None:
        self._store = store
        self._most_bytes = most_bytes
        self._writing: set[asyncio.Task[Answer]] = set()
        self._received = Counter(
            "closedloop_alerts_received", "Alerts received.", ["status"], registry=registry
        )
        self._written = Counter(
            "closedloop_alerts_written", "Alert documents created or changed.", registry=registry
        )
        self._failed = Counter(
            "closedloop_alerts_notifications_failed",
            "Notifications not taken, or only in part.",
            ["reason"],
            registry=registry,
        )
        for status in ("firing", "resolved"):
            self._received.labels(status)
        for reason in ("invalid", "too_large", "unavailable"):
            self._failed.labels(reason)

    def alerts(self, reply: Reply, _: Headers, body: bytes, size: int, broken: str) -> None:
        """`POST /alerts`."""

        def written(writing: asyncio.Task[Answer]) -> None:
            self._writing.discard(writing)
            if error := None if writing.cancelled() else writing.exception():
                _log.error("a notification could not be taken", exc_info=error)
            reply(*((500, FAULT) if writing.cancelled() or error else writing.result()))

        self._writing.add(writing := asyncio.create_task(self._write(body, size, broken)))
        writing.add_done_callback(written)

    async def _write(self, body: bytes, size: int, broken: str) -> Answer:
        if broken:
            return self._refuse("invalid", 400, broken)
        if size > self._most_bytes:
            return self._refuse(
                "too_large", 413, f"the body has more than {self._most_bytes} bytes:"
                " set max_alerts in Alertmanager's webhook_config, or MAX_NOTIFICATION_BYTES here"
            )  # fmt: skip
        try:
            alerts, problem = alerts_of(json.loads(body))
        except InvalidNotification as error:
            return self._refuse("invalid", 400, str(error))
        except (ValueError, RecursionError) as error:
            return self._refuse("invalid", 400, f"the body is not JSON: {error}")
        try:
            for alert in alerts:
                self._received.labels(alert.status).inc()
                try:
                    changed = await self._store.write(alert)
                except Refused as error:  # sent again it would be refused again
                    problem = problem or f"Elasticsearch refuses {alert.document_id}: {error}"
                    continue
                if changed:
                    self._written.inc()
                    _log.info("alert", status=alert.status, labels=alert.labels)
        except (Unavailable, *UNAVAILABLE) as error:
            return self._refuse(
                "unavailable", 503, f"Elasticsearch did not take the alert ({error}): send it again"
            )
        if problem:
            return self._refuse("invalid", 400, problem)
        return 200, ""

    def _refuse(self, reason: str, status: int, sentence: str) -> Answer:
        self._failed.labels(reason).inc()
        _log.warning("notification not taken", reason=reason, error=sentence)
        return status, sentence
