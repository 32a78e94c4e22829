"""Removes the objects of the inventory, newest first, and nothing else."""

from collections.abc import Callable

from closedloop.platforms.client.api import Api
from closedloop.platforms.client.applying import delete
from closedloop.platforms.client.conditions import DELETED
from closedloop.platforms.client.connection import NoSuchKind
from closedloop.platforms.client.waiting import wait
from closedloop.platforms.cluster.helm import Helm
from closedloop.platforms.cluster.inventory import Inventory, Made, is_ours

_DEFINITION = "CustomResourceDefinition"
_RELEASE_NAME, _RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_GONE = 180.0
# Whose objects in a namespace of ours would be someone's loss.
_WORKLOADS = ("SeldonDeployment", "Deployment", "StatefulSet")
# ConfigMaps that istiod writes into every namespace and nobody takes back.
_LEFT_BY_ISTIO = ("istio-ca-root-cert", "istio-ca-crl")
# Secrets that jobs of a release write into its namespace, by the release: helm does not know them.
_LEFT_BY_JOBS = {"monitoring": "monitoring-kube-prometheus-admission"}

Progress = Callable[[str], None]


def remove_everything(api: Api, helm: Helm, inventory: Inventory, progress: Progress) -> list[str]:
    """Returns a sentence for each thing that was left because others use it.

    May be interrupted and called again. Raises `PlatformError`.
    """
    left: list[str] = []
    made = inventory.made()
    releases = {thing for thing in made if thing.is_release}
    for thing in reversed(made):
        progress(f"removing {thing}")
        if thing.is_release:
            helm.uninstall(thing.name, thing.namespace)
            left += _definitions_of(api, thing)
            if thing.name == "istiod":
                _forget_certificates(api)
            if secret := _LEFT_BY_JOBS.get(thing.name):
                api.delete("Secret", secret, thing.namespace)
        elif reason := _remove(api, thing, releases):
            left.append(reason)
            continue  # it stays in the list: a later `down` can take it
        inventory.remove([thing])
    return left


def remove(api: Api, thing: Made) -> str:
    """Delete one object if it is ours and wait until it is gone; returns its change."""
    return delete(api, thing.kind, thing.name, thing.namespace, thing.api_version, may=is_ours)


def _remove(api: Api, thing: Made, releases: set[Made]) -> str:
    if thing.kind == _DEFINITION:
        return _remove_definition(api, thing.name)
    if thing.kind == "Namespace" and (used := _used_by_others(api, thing.name, releases)):
        return f"the namespace {thing.name} is kept: {used} in it is not ours"
    happened = remove(api, thing)
    return "" if happened in {"absent", "deleted"} else f"{thing.kind} {thing.name} is {happened}"


def _remove_definition(api: Api, name: str) -> str:
    """Delete a definition without objects only: others' objects would be deleted with it."""
    found = api.get(_DEFINITION, name)
    if found is None:
        return ""
    kind = found["spec"]["names"]["kind"]
    version = next(each["name"] for each in found["spec"]["versions"] if each.get("served"))
    api_version = f"{found['spec']['group']}/{version}"
    try:
        objects, _ = api.list(kind, api_version=api_version)
    except NoSuchKind:
        objects = []
    others = [
        each
        for each in objects
        if not is_ours(each) and not each["metadata"].get("ownerReferences")
    ]
    if others:
        own = others[0]["metadata"]
        place = "/".join(filter(None, (own.get("namespace"), own["name"])))
        return f"the definition {name} is kept: {kind} {place} is not ours"
    api.delete(_DEFINITION, name)
    wait(api, _DEFINITION, name, condition=DELETED, timeout=_GONE)
    return ""


def _definitions_of(api: Api, release: Made) -> list[str]:
    """Definitions that a release made from its templates and was told to keep."""
    left = []
    for each in api.list(_DEFINITION)[0]:
        notes = each["metadata"].get("annotations") or {}
        owner = notes.get(_RELEASE_NAME), notes.get(_RELEASE_NAMESPACE)
        if owner == (release.name, release.namespace):
            left.append(_remove_definition(api, each["metadata"]["name"]))
    return [reason for reason in left if reason]


def _used_by_others(api: Api, namespace: str, releases: set[Made]) -> str:
    for kind in _WORKLOADS:
        try:
            found, _ = api.list(kind, namespace)
        except NoSuchKind:
            continue
        for each in found:
            own = each["metadata"]
            notes = own.get("annotations") or {}
            release = Made(notes.get(_RELEASE_NAME, ""), notes.get(_RELEASE_NAMESPACE, ""))
            going = own.get("deletionTimestamp") or own.get("ownerReferences")
            if not (going or is_ours(each) or release in releases):
                return f"{kind} {own['name']}"
    return ""


def _forget_certificates(api: Api) -> None:
    for name in _LEFT_BY_ISTIO:
        for each in api.list("ConfigMap", fields=f"metadata.name={name}")[0]:
            api.delete("ConfigMap", name, each["metadata"]["namespace"])
