"""Volume claims, where a cluster can meet them; else the data lies in the pod and goes with it."""

import copy
import os
from collections.abc import Sequence
from typing import Any

from closedloop.manifests import Manifest
from closedloop.platforms.client.api import Api
from closedloop.platforms.protocol import PlatformError

SETTING = "CLOSEDLOOP_STORAGE"
_CLAIM, _POD = "claim", "pod"
_DEFAULT = "storageclass.kubernetes.io/is-default-class"
# Kubernetes' own provisioner for tests of one node: it makes folders that only root may write.
_ROOTS = "kubernetes.io/host-path"
_KIND = "PersistentVolumeClaim"


def suited(api: Api, manifests: Sequence[Manifest]) -> list[Manifest]:
    """The manifests, without their volume claims where those are not wanted or would not be met.

    `$CLOSEDLOOP_STORAGE` is `claim` or `pod`; without it claims are made where
    the cluster has a default StorageClass. Raises `PlatformError`.
    """
    claims = {one.name: one for one in manifests if one.kind == _KIND}
    if not claims or _claims_are_met(api):
        return list(manifests)
    return [_in_the_pod(one, claims) for one in manifests if one.kind != _KIND]


def _claims_are_met(api: Api) -> bool:
    wanted = os.environ.get(SETTING, "")
    if wanted not in ("", _CLAIM, _POD):
        raise PlatformError(f"{SETTING} is {wanted!r}: set it to {_CLAIM} or {_POD}")
    return wanted == _CLAIM or (not wanted and has_default_class(api))


def has_default_class(api: Api) -> bool:
    """Whether a claim that names no StorageClass gets a volume that is not root's alone."""
    classes, _ = api.list("StorageClass")
    return any(
        (one["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"
        and one.get("provisioner") != _ROOTS
        for one in classes
    )


def _in_the_pod(manifest: Manifest, claims: dict[str, Manifest]) -> Manifest:
    """With a folder of the pod, as large as the claim, for each volume that is a claim."""
    document: dict[str, Any] = copy.deepcopy(dict(manifest.document))
    pod = document.get("spec", {}).get("template", {}).get("spec", {})
    for volume in pod.get("volumes", ()):
        claim = claims.get(volume.get("persistentVolumeClaim", {}).get("claimName"))
        if claim is not None:
            said: dict[str, Any] = dict(claim.document)
            size = said["spec"]["resources"]["requests"]["storage"]
            del volume["persistentVolumeClaim"]
            volume["emptyDir"] = {"sizeLimit": size}
    return Manifest(manifest.source, document)
