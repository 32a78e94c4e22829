"""The request logger put together: its parts, and the order in which they start and stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from elasticsearch import AsyncElasticsearch
from prometheus_client import CollectorRegistry

from closedloop.log.mapping import LOG, in_shards, rollover_policy
from closedloop.log.templates import IndexTemplates
from closedloop.services.kit.asgi import Application
from closedloop.services.kit.declarations import DeclaredOutputs
from closedloop.services.request_logger.backlog import Backlog
from closedloop.services.request_logger.metrics import Metrics
from closedloop.services.request_logger.receiver import Receiver
from closedloop.services.request_logger.rejoin import Rejoin
from closedloop.services.request_logger.rescore import Rescore
from closedloop.services.request_logger.settings import Settings
from closedloop.services.request_logger.store import Store
from closedloop.services.request_logger.writer import Writer

_DRAIN_SECONDS = 5.0


def create_app(settings: Settings, registry: CollectorRegistry) -> Application:
    """The service; it connects to Elasticsearch when it starts and needs not find it there."""
    client = AsyncElasticsearch(
        settings.elasticsearch_url,
        basic_auth=settings.basic_auth,
        request_timeout=settings.deadline_seconds,
        max_retries=0,  # a retry is decided where it is known which documents were written
    )
    age, size = settings.rollover_age, settings.rollover_size
    policies = {LOG: rollover_policy(age, size)} if age or size else {}
    templates = IndexTemplates(client, in_shards(settings.index_shards), policies)
    backlog = Backlog(settings.queue_events, settings.queue_bytes)
    metrics = Metrics(registry, lambda: len(backlog), settings.max_predictors)
    declared = DeclaredOutputs(settings.model_outputs, registry)
    store = Store(client, templates, lifecycle=LOG if policies else "")
    rejoin = Rejoin(store, metrics, declared.of)
    rescore = Rescore(store, metrics, declared)
    writer = Writer(store, metrics, settings, declared.of, rejoin.hint)
    receiver = Receiver(backlog, metrics, settings)

    @asynccontextmanager
    async def lifetime() -> AsyncIterator[None]:
        others = [
            asyncio.create_task(work)
            for work in (
                templates.watch(),
                backlog.give_up_in_time(),
                rejoin.run(),
                rescore.run(),
            )
        ]
        writing = asyncio.create_task(writer.run(backlog))
        yield
        # By now every open request is answered, or its sender was cut off.
        backlog.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(writing, _DRAIN_SECONDS)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await client.close()

    return Application(
        {"/": receiver.event, "/dead-letters": receiver.undelivered},
        most_bytes=settings.max_event_bytes,
        registry=registry,
        why_not_ready=templates.why_not_ready,
        lifetime=lifetime,
    )
