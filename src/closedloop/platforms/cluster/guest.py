"""For an account that installs nothing on a cluster, such as a model owner's.

An administrator's installation is used as it is: of a request, the
account makes and changes as much as its roles let it, and nothing else is touched.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from closedloop.manifests import Manifest
from closedloop.platforms.client import workloads
from closedloop.platforms.client.api import Api
from closedloop.platforms.client.connection import ApiError
from closedloop.platforms.cluster.applying import ClusterApplier
from closedloop.platforms.cluster.inventory import NAME, NAMESPACE
from closedloop.platforms.parts import Part, demand
from closedloop.platforms.protocol import PartStatus, PlatformError

Object = dict[str, Any]

_FORBIDDEN = 403
_ROLES = "manifests/access gives the roles that working with models takes, see docs/access.md"
_INSTALLED = "an administrator installed it"
# Never taken as an administrator's: whoever works with models makes these.
_MODELS = "SeldonDeployment"


def may_install(api: Api) -> bool:
    """Whether the account keeps the inventory of the installation.

    True when nobody answers: what comes next says why.
    """
    with contextlib.suppress(PlatformError):
        return api.allowed("update", "", "configmaps", NAMESPACE, NAME)
    return True


class Guest:
    """Serves the requests of such an account on one cluster."""

    def __init__(self, api: Api, applier: ClusterApplier) -> None:
        self._api, self._applier = api, applier

    def install(self, part: str) -> list[PartStatus]:
        """Look whether a part is there. Raises `PlatformError` when it is not, or is not seen."""
        try:
            there = self._is_there(demand(part))
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            raise PlatformError(
                f"your account sees nothing of {part} on this cluster: ask an administrator"
                f" whether it is installed; {_ROLES}"
            ) from None
        if not there:
            raise PlatformError(
                f"{part} is not installed on this cluster and your account may not install it:"
                " ask an administrator for `closedloop up --platform cluster --context …`"
            )
        return [PartStatus(part, "", "ready", note=_INSTALLED)]

    def _is_there(self, part: Part) -> bool:
        """By the one Service of a part that the roles of manifests/access show, or by its kinds."""
        seen = next((one for one in part.workloads if one.is_sign), None)
        if seen is None:
            return self._api.knows(_MODELS)
        return self._api.get("Service", seen.service, seen.namespace) is not None

    def apply(self, manifests: Sequence[Manifest]) -> list[str]:
        """Apply the objects that the account may; returns `Kind/name` of each and its change."""
        return [self._apply(one) for one in manifests]

    def workloads(self, namespaces: Iterable[str], warn: Callable[[str], None]) -> Iterable[Object]:
        """Every workload that the account may list; a warning names the namespaces left out."""
        hidden = []
        for namespace in namespaces:
            try:
                yield from workloads.everything(self._api, [namespace])
            except ApiError as error:
                if error.status != _FORBIDDEN:
                    raise
                hidden.append(namespace)
        if hidden:
            warn(f"not shown, because your account may not list it: {', '.join(hidden)}")

    def _apply(self, manifest: Manifest) -> str:
        kind, name, namespace = manifest.kind, manifest.name, manifest.namespace
        version = str(manifest.document["apiVersion"])
        if self._api.permits("patch", kind, name, namespace, api_version=version):
            (said,) = self._applier.apply([manifest])
            return said
        try:
            there = self._api.get(kind, name, namespace, api_version=version)
        except ApiError as error:
            if error.status != _FORBIDDEN:
                raise
            if kind == _MODELS:
                _refuse(manifest)
            return f"{kind}/{name} not seen, taken as an administrator's"
        if there is None:
            _refuse(manifest)
        return f"{kind}/{name} left alone, {_INSTALLED}"


def _refuse(manifest: Manifest) -> NoReturn:
    raise PlatformError(
        f"{manifest.title} ({manifest.source}) is not there and your account may not make it:"
        f" ask an administrator to apply it; {_ROLES}"
    )
