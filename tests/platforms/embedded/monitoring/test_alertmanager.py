from typing import Any

import pytest

from closedloop.manifests import ManifestError, load_values
from closedloop.platforms.embedded.monitoring.programs import alertmanager_configuration
from tests.platforms.embedded.reconcile.objects import MANIFESTS, url_of

VALUES = load_values(MANIFESTS / "monitoring/values.yaml")


def test_urls_are_those_of_this_machine_and_nothing_else_changes() -> None:
    config: Any = alertmanager_configuration(VALUES, url_of=url_of)
    hook = {"url": "http://here/seldon-logs/alert-logger/80/alerts", "send_resolved": True}
    receivers = config["receivers"]
    assert {"name": "alert-logger", "webhook_configs": [hook]} in receivers
    part = VALUES["alertmanager"]
    assert isinstance(part, dict)
    assert config["route"] == part["config"]["route"]


@pytest.mark.parametrize("values", [{}, {"alertmanager": None}, {"alertmanager": {"config": {}}}])
def test_values_without_a_configuration_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ManifestError, match=r"alertmanager\.config is missing: add it"):
        alertmanager_configuration(values, url_of=url_of)
