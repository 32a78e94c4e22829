"""Manifest files: from paths under `manifests/` to documents that know their file.

A folder means every YAML file in it and below, in order of names, except helm
values (`values*.yaml`), `versions.yaml` and `kustomization.yaml`, which describe no objects.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import yaml

try:  # the CRDs of one chart are several megabytes
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

Document = Mapping[str, object]

# Files that lie among manifests and hold no object.
NOT_OBJECTS = ("values*.yaml", "values*.yml", "versions.yaml", "kustomization.yaml")

# In this order an object comes after those that it refers to. Kinds not named come
# between: after those that they may refer to, before those that may refer to them.
ORDER = (
    "CustomResourceDefinition",
    "Namespace",
    "ServiceAccount",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "NetworkPolicy",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Service",
    "Gateway",
    "PodDisruptionBudget",
    "StatefulSet",
    "Deployment",
    "",
    "Broker",
    "Trigger",
    "PodMonitor",
    "ServiceMonitor",
    "PrometheusRule",
    "SeldonDeployment",
)

_CLUSTER_SCOPED = {
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "PersistentVolume",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


class ManifestError(ValueError):
    """Manifests that cannot be used: `sentences` has one for every fault found."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(self.sentences))


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object, and where it was read: a file's path as a person would name it."""

    source: str
    document: Document

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def name(self) -> str:
        return str(self._metadata["name"])

    @property
    def namespace(self) -> str:
        """The namespace, `default` when none is given, empty for kinds that have none."""
        if self.kind in _CLUSTER_SCOPED:
            return ""
        return str(self._metadata.get("namespace") or "default")

    @property
    def key(self) -> str:
        """`kind/namespace/name`, or `kind/name` for a kind without namespaces."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def title(self) -> str:
        """The name of this object in an error: `Kind namespace/name`."""
        return f"{self.kind} " + "/".join(part for part in (self.namespace, self.name) if part)

    @property
    def _metadata(self) -> Document:
        metadata = self.document["metadata"]
        assert isinstance(metadata, Mapping)
        return metadata


def load(root: Path, *sources: str | Path | Document) -> list[Manifest]:
    """Read objects: files and folders below `root`, or documents given as they are.

    A file may hold several documents, and a `List` stands for its items.
    Raises `ManifestError` with a sentence for each file or document at fault.
    """
    manifests: list[Manifest] = []
    faults: list[str] = []
    for source in sources:
        try:
            if isinstance(source, Mapping):
                manifests += _manifests("the object given", source)
            else:
                for path in _files(root, source):
                    try:
                        manifests += _read(path, _display(root, path))
                    except ManifestError as error:
                        faults += error.sentences
        except ManifestError as error:
            faults += error.sentences
    if faults:
        raise ManifestError(faults)
    return manifests


def in_apply_order(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Sorted so that every object comes after those it refers to; reversed, fit for deletion.

    Raises `ManifestError` when two describe the same object.
    """
    first: dict[str, Manifest] = {}
    faults = []
    for manifest in manifests:
        if manifest.key in first:
            faults.append(
                f"{manifest.source}: {manifest.title} is already described by"
                f" {first[manifest.key].source}: apply one of them"
            )
        first.setdefault(manifest.key, manifest)
    if faults:
        raise ManifestError(faults)
    unnamed = ORDER.index("")
    ranks = {kind: rank for rank, kind in enumerate(ORDER)}
    return sorted(manifests, key=lambda manifest: ranks.get(manifest.kind, unnamed))


def load_values(path: Path) -> dict[str, object]:
    """Read a YAML file that is no object, such as helm values. Raises `ManifestError`."""
    documents = _documents(path, str(path))
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise ManifestError([f"{path}: the file must hold one YAML mapping"])
    return documents[0]


def yaml_documents(text: str) -> list[object]:
    """The documents of a YAML text of others, such as a chart's: as a cluster's tools read them.

    Raises `yaml.YAMLError`.
    """
    found = yaml.load_all(text, Loader=Loader)
    return [document for document in found if document is not None]


def _files(root: Path, source: str | Path) -> list[Path]:
    path = root / source
    if path.is_dir():
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix in {".yaml", ".yml"}
            and not any(fnmatch(file.name, pattern) for pattern in NOT_OBJECTS)
        )
        if not found:
            raise ManifestError([f"{_display(root, path)}: the folder holds no manifest"])
        return found
    if not path.is_file():
        raise ManifestError(
            [f"{_display(root, path)}: there is no such manifest: name a file or folder in {root}"]
        )
    return [path]


def _display(root: Path, path: Path) -> str:
    return str(path.relative_to(root.parent) if path.is_relative_to(root.parent) else path)


def _read(path: Path, display: str) -> list[Manifest]:
    manifests: list[Manifest] = []
    for document in _documents(path, display):
        manifests += _manifests(display, document)
    if not manifests:
        raise ManifestError([f"{display}: the file holds no object"])
    return manifests


def _documents(path: Path, display: str) -> list[object]:
    try:
        text = path.read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, Loader=_StrictLoader))
    except yaml.YAMLError as error:
        raise ManifestError([f"{display}: not YAML: {_where(error)}"]) from None
    except UnicodeDecodeError as error:
        raise ManifestError([f"{display}: not UTF-8 text: {error.reason}"]) from None
    except OSError as error:
        raise ManifestError([f"{display}: cannot be read: {error.strerror}"]) from None
    return [document for document in documents if document is not None]


def _manifests(source: str, document: object) -> Iterator[Manifest]:
    if not isinstance(document, Mapping):
        raise ManifestError(
            [f"{source}: a document is a {type(document).__name__}: it must be an object"]
        )
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str) or not document[field]:
            raise ManifestError([f"{source}: an object has no {field}: add it"])
    if document["kind"] == "List":
        items = document.get("items")
        if not isinstance(items, list):
            raise ManifestError([f"{source}: the List has no items: add them"])
        for item in items:
            yield from _manifests(source, item)
        return
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    if not isinstance(name, str) or not name:
        raise ManifestError([f"{source}: a {document['kind']} has no metadata.name: add it"])
    yield Manifest(source, document)


def _where(error: yaml.YAMLError) -> str:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error).splitlines()[0]
    mark = error.problem_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"


class Loader(SafeLoader):
    """PyYAML's safe loader with two rules of a cluster's tools: a date is text, and so is `=`."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1 gives a plain `=` a type of its own, for which PyYAML resolves but constructs nothing.
Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


class _StrictLoader(Loader):
    """Loads YAML that is ours to correct: no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is not None and key != "<<" and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key} appears twice", key_node.start_mark
                )
            seen.add(key)
        mapping: dict[object, object] = super().construct_mapping(node, deep)
        return mapping
