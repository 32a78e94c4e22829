"""The declared outputs as the services have them: files in a folder, read again when they change.

On a cluster the folder is ConfigMap `model-outputs`, mounted; its files are replaced all at once.
YAML is read by the core schema of version 1.2, in which `no` and `010` are a text and a number.
"""

import re
from pathlib import Path
from typing import Any

import structlog
import yaml
from prometheus_client import CollectorRegistry, Gauge

from closedloop.loop.output import InvalidOutput, Output, Outputs, read_outputs

_log = structlog.get_logger(__name__)


class DeclaredOutputs:
    """The declarations in `folder`; an empty name, or a folder that is not there, has none.

    A file that cannot be read leaves its earlier declarations in force; that is in the log and in
    `closedloop_declarations_invalid`.
    """

    def __init__(self, folder: str, registry: CollectorRegistry) -> None:
        self._folder = Path(folder) if folder else None
        self._texts: dict[str, bytes | None] = {}
        self._read: dict[str, Outputs] = {}
        self._invalid = Gauge(
            "closedloop_declarations_invalid",
            "Files of declared outputs that cannot be read; their earlier ones are in force.",
            registry=registry,
        )
        self.outputs = Outputs()
        self.refresh()

    def of(self, names: tuple[str, str, str]) -> Output | None:
        """The output of (namespace, deployment, predictor), None where it is not declared."""
        return self.outputs.of(names)

    def refresh(self) -> bool:
        """Read the files that changed; whether a declaration is another one now."""
        texts = self._files()
        if texts == self._texts:
            return False
        invalid = 0
        read: dict[str, Outputs] = {}
        for name, text in texts.items():
            try:
                if text is None:
                    raise InvalidOutput(f"{name} cannot be read: let this service read it")
                read[name] = parse_outputs(text, name)
            except InvalidOutput as error:
                invalid += 1
                _log.error("declared outputs cannot be read", error=str(error))
                if name in self._read:
                    read[name] = self._read[name]
        self._texts, self._read = texts, read
        self._invalid.set(invalid)
        before = self.outputs
        declared: dict[tuple[str, str, str], Output] = {}
        for outputs in read.values():
            declared.update(outputs.declared)
        self.outputs = Outputs(declared)
        return before != self.outputs

    def _files(self) -> dict[str, bytes | None]:
        """The text of each file, None where it cannot be read."""
        if self._folder is None:
            return {}
        texts: dict[str, bytes | None] = {}
        try:
            for path in sorted(self._folder.iterdir()):
                if path.suffix in (".yaml", ".yml") and not path.name.startswith("."):
                    texts[path.name] = _read(path)
        except FileNotFoundError:  # no folder, or a file that is being replaced: look again
            return dict(self._texts) if self._folder.is_dir() else {}
        except OSError as error:
            _log.error("declared outputs cannot be read", error=str(error))
            return dict(self._texts)
        return texts


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (PermissionError, IsADirectoryError):
        return None


def parse_outputs(text: bytes | str, name: str = "outputs.yaml") -> Outputs:
    """Outputs from the text of a file. Raises `InvalidOutput` that names the file."""
    try:
        said = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidOutput(f"{name} is not YAML: {error}") from None
    try:
        return read_outputs(said)
    except InvalidOutput as error:
        raise InvalidOutput(f"{name}: {error}") from None


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # as PyYAML has it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        # Of two declarations of one predictor PyYAML would drop the first in silence.
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} comes twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
