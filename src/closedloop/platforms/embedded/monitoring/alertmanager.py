"""Alertmanager's configuration: the one that the chart's values hold, with URLs of this machine."""

from collections.abc import Mapping

from closedloop.manifests import ManifestError
from closedloop.platforms.embedded.reconcile.urls import UrlOf, rewrite


def render(values: Mapping[str, object], *, url_of: UrlOf) -> dict[str, object]:
    """`alertmanager.config` of `monitoring/values.yaml`, in-cluster URLs rewritten.

    Raises `ManifestError` when there is none.
    """
    part = values.get("alertmanager")
    config = part.get("config") if isinstance(part, Mapping) else None
    if not isinstance(config, Mapping) or not config:
        raise ManifestError(["monitoring/values.yaml: alertmanager.config is missing: add it"])
    return {str(key): _rewritten(value, url_of) for key, value in config.items()}


def _rewritten(value: object, url_of: UrlOf) -> object:
    match value:
        case str():
            return rewrite(value, url_of)
        case Mapping():
            return {key: _rewritten(one, url_of) for key, one in value.items()}
        case list():
            return [_rewritten(one, url_of) for one in value]
        case _:
            return value
