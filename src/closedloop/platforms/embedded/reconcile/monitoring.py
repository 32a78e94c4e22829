"""PodMonitors and PrometheusRules: what to scrape and what to evaluate."""

from collections.abc import Iterator, Mapping

from closedloop.platforms.embedded.desired import ScrapeTarget
from closedloop.platforms.embedded.kinds.monitoring import PodMonitor, PrometheusRule
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind


def scrapes(context: Context) -> Iterator[ScrapeTarget]:
    """A target for each endpoint of a PodMonitor and each namespace that it selects."""
    for one, monitor in of_kind(context.objects, PodMonitor):
        chosen = monitor.spec.namespace_selector
        namespaces: list[str | None] = (
            [None] if chosen.any else [*chosen.match_names] or [one.manifest.namespace]
        )
        for endpoint in monitor.spec.pod_metrics_endpoints:
            for namespace in namespaces:
                yield ScrapeTarget(
                    job=f"{one.manifest.namespace}/{one.manifest.name}",
                    namespace=namespace,
                    selector=monitor.spec.selector.match_labels,
                    port=endpoint.port,
                    path=endpoint.path,
                    interval=endpoint.interval,
                )


def rules(context: Context) -> dict[str, Mapping[str, object]]:
    """The content of Prometheus' rule files by file name, `<namespace>-<name>.yaml`."""
    return {
        f"{one.manifest.namespace}-{one.manifest.name}.yaml": {
            "groups": [
                group.model_dump(by_alias=True, exclude_defaults=True) for group in rule.spec.groups
            ]
        }
        for one, rule in of_kind(context.objects, PrometheusRule)
    }
