"""The models of the live page, and the Services that it asks: deployed where they are absent."""

from collections.abc import Callable

from closedloop.judging.present import KIND
from closedloop.platforms.protocol import Platform, PlatformError, Report
from closedloop.suite.setup import install_everything

NAMESPACE = "seldon"
SINGLE, PREDICTOR, PAIR = "sklearn", "default", "iris-perf"
MANIFESTS = {SINGLE: "models/sklearn.yaml", PAIR: "models/iris-perf-shadow.yaml"}
"""By name: the model that gets worse on request, as in notebook 04, and the two of notebook 06."""

METRICS_SERVER = "seldon-logs/seldon-metrics-server"

_PATIENCE = 600.0  # seconds: a cluster may have to pull the models' image


def set_up(platform: Platform, report: Report, mine: Callable[[str], None]) -> None:
    """Install the parts and deploy the models that are absent; `mine` is told of each of these.

    Raises PlatformError.
    """
    install_everything(platform, report)
    for name, manifest in MANIFESTS.items():
        report(f"model {name}")
        try:
            platform.get(KIND, name, NAMESPACE)
        except PlatformError:
            mine(manifest)
            platform.apply(manifest)
        platform.wait(KIND, name, NAMESPACE, timeout=_PATIENCE)
