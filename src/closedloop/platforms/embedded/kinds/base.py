"""The parts of every kind: strict models, metadata, and rules beyond a field's type.

A field that no model names is refused. A field that a cluster needs and that
means nothing on one machine is named all the same, as `cluster_only`: any value
is accepted, and changes nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.alias_generators import to_camel

from closedloop.manifests import Manifest
from closedloop.validation import Path, field_path

# Annotations under these domains change the effect of an object, so an unknown one is
# an error; any other annotation is a note for people and tools.
_MEANINGFUL_DOMAINS = (
    "seldon.io",
    "eventing.knative.dev",
    "messaging.knative.dev",
    "knative.dev",
    "closedloop.dev",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at one place of an object: `message` follows the field's path."""

    path: Path
    message: str


class Strict(BaseModel):
    """A model of a part of a manifest: fields in camel case, none unknown, no coercion.

    A class names its fields without effect, and inherits those of its base.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)
    cluster_only: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, cluster_only: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.cluster_only = cls.cluster_only | set(cluster_only.split())

    @model_validator(mode="before")
    @classmethod
    def _without_cluster_only(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if name not in cls.cluster_only}


class Metadata(
    Strict,
    cluster_only="uid resourceVersion generation creationTimestamp managedFields",
):
    """Metadata of an object; fields that only a server writes are accepted and not read."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)
    namespace: str = Field(default="default", pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})


class Manifested(Strict, cluster_only="status"):
    """An object: subclasses have its fields beside the metadata.

    Its status is not read: an object as `get` returned it can be applied again.
    """

    # Annotations that this kind understands; a value of None is any value.
    annotations: ClassVar[Mapping[str, str | None]] = {}

    api_version: str
    kind: str
    metadata: Metadata
    _manifest: Manifest = PrivateAttr()

    @property
    def name(self) -> str:
        return self._manifest.name

    @property
    def namespace(self) -> str:
        return self._manifest.namespace

    @property
    def path(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def key(self) -> str:
        """`kind/namespace/name`."""
        return self._manifest.key

    def read_from(self, manifest: Manifest) -> None:
        """Remember the manifest that it was read from, which its faults name."""
        self._manifest = manifest

    def sentence(self, path: Path, message: str) -> str:
        """One sentence that names file, object and field."""
        return f"{self._manifest.source}: {self._manifest.title}: {field_path(path)} {message}"

    def faults(self) -> Iterator[Fault]:
        """Rules that no single field can state; overridden with `yield from super()`."""
        yield from annotation_faults(
            self.metadata.annotations, type(self).annotations, ("metadata", "annotations")
        )


def annotation_faults(
    given: Mapping[str, str], known: Mapping[str, str | None], path: Path
) -> Iterator[Fault]:
    """A fault for each annotation with an effect on a cluster and none here."""
    for name, value in given.items():
        domain = name.rpartition("/")[0]
        if not any(domain == d or domain.endswith("." + d) for d in _MEANINGFUL_DOMAINS):
            continue
        if name not in known:
            yield Fault((*path, name), "is an annotation that is not supported here: remove it")
        elif (only := known[name]) is not None and value != only:
            yield Fault((*path, name), f"is {value!r}: give {only!r}")


def _port(value: int) -> int:
    if not 0 < value < 65536:
        raise ValueError("a port is between 1 and 65535")
    return value


def _port_name_or_number(value: object) -> str | int:
    if isinstance(value, int) and not isinstance(value, bool):
        return _port(value)
    if isinstance(value, str) and value:
        return value
    raise ValueError("a port is a name or a number")


Port = Annotated[int, AfterValidator(_port)]
# `object` rather than a union, whose branches would show in the path of an error.
PortRef = Annotated[object, AfterValidator(_port_name_or_number)]


class LabelSelector(Strict):
    """Selects by equal labels."""

    match_labels: dict[str, str] = Field(min_length=1)
