"""PodMonitors and PrometheusRules: targets to scrape and rules to evaluate."""

from collections.abc import Iterator, Mapping

from closedloop.platforms.embedded.desired import ScrapeTarget
from closedloop.platforms.embedded.kinds.monitoring import PodMonitor, PrometheusRule
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind


def scrapes(context: Context) -> Iterator[ScrapeTarget]:
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


def rules(context: Context) -> dict[str, Mapping[str, object]]:
    """The content of Prometheus' rule files by file name, `<namespace>-<name>.yaml`."""
    return {
        f"{rule.namespace}-{rule.name}.yaml": {
            "groups": [
                group.model_dump(by_alias=True, exclude_defaults=True) for group in rule.spec.groups
            ]
        }
        for rule in of_kind(context.objects, PrometheusRule)
    }
