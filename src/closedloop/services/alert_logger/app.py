"""The alert logger's HTTP side: `POST /alerts` takes Alertmanager's webhook notifications.

200 with an empty body means that every alert of it is in Elasticsearch, 503
that it is to be sent again (Alertmanager does), 400 that it cannot be read
(Alertmanager gives up and logs the sentence); the alerts of it that can be read are kept.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry, Counter

from closedloop.log.store import Documents
from closedloop.log.templates import UNAVAILABLE, IndexTemplates
from closedloop.services.alert_logger.notification import InvalidNotification, alerts_of
from closedloop.services.alert_logger.store import TEMPLATES, Refused, Store, Unavailable
from closedloop.services.kit import service
from closedloop.services.kit.json_errors import json_error, json_errors

_log = structlog.get_logger(__name__)


class Settings(service.Settings):
    """Each field is the environment variable of the same name in upper case."""

    elasticsearch_url: str = "http://127.0.0.1:9200"
    elasticsearch_seconds: float = 5.0
    max_notification_bytes: int = 1 << 20


def create_app(settings: Settings, registry: CollectorRegistry) -> web.Application:
    """The service; it needs not find Elasticsearch when it starts."""
    client = AsyncElasticsearch(
        settings.elasticsearch_url,
        basic_auth=settings.basic_auth,
        request_timeout=settings.elasticsearch_seconds,
        max_retries=0,  # Alertmanager sends again
    )
    templates = IndexTemplates(client, TEMPLATES)
    receiver = _Receiver(Store(Documents(client, templates)), registry)

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        watching = asyncio.create_task(templates.watch())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await client.close()

    app = web.Application(
        middlewares=[json_errors], client_max_size=settings.max_notification_bytes
    )
    app.cleanup_ctx.append(lifetime)
    app.router.add_post("/alerts", receiver.alerts)
    service.add_health(app, templates.why_not_ready)
    service.add_metrics(app, registry)
    return app


class _Receiver:
    def __init__(self, store: Store, registry: CollectorRegistry) -> None:
        self._store = store
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

    async def alerts(self, request: web.Request) -> web.Response:
        """`POST /alerts`."""
        try:
            alerts, problem = alerts_of(json.loads(await request.read()))
        except web.HTTPRequestEntityTooLarge:
            return self._refuse(
                "too_large", 413, f"the body has more than {request.client_max_size} bytes:"
                " set max_alerts in Alertmanager's webhook_config, or MAX_NOTIFICATION_BYTES here"
            )  # fmt: skip
        except web.RequestPayloadError:
            return self._refuse(
                "invalid", 400, "the body is not encoded as its headers say: encode it again"
            )
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
        return web.Response()

    def _refuse(self, reason: str, status: int, sentence: str) -> web.Response:
        self._failed.labels(reason).inc()
        _log.warning("notification not taken", reason=reason, error=sentence)
        return json_error(status, sentence)
