"""The whole of it: from manifests to the desired state. Pure, and fails only as a whole."""

from collections.abc import Iterable, Iterator, Mapping

from closedloop.manifests import Manifest, ManifestError
from closedloop.platforms.embedded.desired import Desired, ScrapeTarget, ServicePort
from closedloop.platforms.embedded.kinds.core import Service
from closedloop.platforms.embedded.kinds.monitoring import PodMonitor, PrometheusRule
from closedloop.platforms.embedded.reconcile import deployments, eventing, seldon
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind, read
from closedloop.platforms.embedded.reconcile.runtime import Runtime
from closedloop.platforms.embedded.reconcile.urls import UrlOf


def desired(objects: Iterable[Manifest], *, url_of: UrlOf, runtime: Runtime) -> Desired:
    """The desired state of this machine for a set of objects.

    `url_of(namespace, service, port)` gives the URL, without a trailing slash, at which
    a Service's port can be called from here, be the Service there already or not.

    Raises `ManifestError` with a sentence for each field, value, image or kind
    that one machine does not support. A reference to an absent object is no
    error but a problem of the result: it may come later.
    """
    context = Context(read(objects), runtime, url_of)
    result = Desired(
        pods=(*deployments.pods(context), *seldon.pods(context)),
        services=(*_service_ports(context), *seldon.service_ports(context)),
        routes=tuple(seldon.routes(context)),
        brokers=tuple(eventing.brokers(context)),
        triggers=tuple(eventing.triggers(context)),
        scrapes=tuple(_scrapes(context)),
        rules=_rules(context),
        problems={key: tuple(problems) for key, problems in context.problems.items()},
        folders=context.folders,
    )
    if context.faults:
        raise ManifestError(context.faults)
    return result


def _service_ports(context: Context) -> Iterator[ServicePort]:
    """The ports of all Services in manifests."""
    for service in of_kind(context.objects, Service):
        for port in service.spec.ports:
            target = port.target_port
            yield ServicePort(
                namespace=service.namespace,
                service=service.name,
                name=port.name,
                port=port.port,
                target=target if isinstance(target, (int, str)) else port.port,
                selector=service.spec.selector,
            )


def _scrapes(context: Context) -> Iterator[ScrapeTarget]:
    """A target for each endpoint of a PodMonitor and each namespace that it selects."""
    for one in of_kind(context.objects, PodMonitor):
        chosen = one.spec.namespace_selector
        namespaces: list[str | None] = (
            [None] if chosen.any else [*chosen.match_names] or [one.namespace]
        )
        for endpoint in one.spec.pod_metrics_endpoints:
            for namespace in namespaces:
                yield ScrapeTarget(
                    job=one.path,
                    namespace=namespace,
                    selector=one.spec.selector.match_labels,
                    port=endpoint.port,
                    path=endpoint.path,
                    interval=endpoint.interval,
                )


def _rules(context: Context) -> dict[str, Mapping[str, object]]:
    """The content of Prometheus' rule files by file name, `<namespace>-<name>.yaml`."""
    return {
        f"{rule.namespace}-{rule.name}.yaml": {
            "groups": [
                group.model_dump(by_alias=True, exclude_defaults=True) for group in rule.spec.groups
            ]
        }
        for rule in of_kind(context.objects, PrometheusRule)
    }
