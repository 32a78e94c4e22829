"""The environment of a container: values, references, and `$(NAME)` in values and arguments.

Kubernetes' rules: `envFrom` first, `env` over it, later over earlier; `$(NAME)`
stands for a variable defined before, `$$` for a dollar, and an unknown name
stays as it is written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from closedloop.platforms.embedded.kinds.pod import POD_IP, Container, EnvVar

# Replaced when the pod gets its address.
POD_IP_PLACEHOLDER = "{pod_ip}"

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")

Texts = Mapping[tuple[str, str], Mapping[str, str]]  # (kind, name) -> keys, of one namespace


@dataclass(slots=True)
class Environment:
    """Variables, and their references to absent objects."""

    values: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def environment(container: Container, namespace: str, texts: Texts) -> Environment:
    """The environment of a container whose namespace has these ConfigMaps and Secrets."""
    result = Environment()
    for whole in container.env_from:
        reference = whole.config_map_ref or whole.secret_ref
        if reference is None:
            continue
        kind = "ConfigMap" if whole.config_map_ref else "Secret"
        found = texts.get((kind, reference.name))
        if found is not None:
            result.values.update({whole.prefix + key: text for key, text in found.items()})
        elif not reference.optional:
            result.problems.append(f"{kind} {namespace}/{reference.name} does not exist")
    for variable in container.env:
        value = _value(variable, namespace, texts, result)
        if value is not None:
            result.values[variable.name] = value
    return result


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value and `$$` by a dollar."""

    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else values.get(name, match.group())

    return _REFERENCE.sub(replace, text)


def _value(variable: EnvVar, namespace: str, texts: Texts, result: Environment) -> str | None:
    source = variable.value_from
    if source is None:
        return expand(variable.value or "", result.values)
    if source.field_ref is not None:
        return POD_IP_PLACEHOLDER if source.field_ref.field_path == POD_IP else namespace
    reference = source.config_map_key_ref or source.secret_key_ref
    assert reference is not None  # checked when the manifest was read
    kind = "ConfigMap" if source.config_map_key_ref else "Secret"
    found = texts.get((kind, reference.name))
    if found is not None and reference.key in found:
        return found[reference.key]
    if not reference.optional:
        what = f"{kind} {namespace}/{reference.name}"
        result.problems.append(
            f"{what} does not exist" if found is None else f"{what} has no key {reference.key}"
        )
    return None
