"""What `kubectl kustomize` makes of our overlay: its resources, with its JSON patches applied.

Only the part of kustomize that the overlay uses: files as resources, and RFC
6902 patches for targets by kind, name (a regular expression) and namespace.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Document = dict[str, Any]

_KEYS = {"apiVersion", "kind", "resources", "patches"}
_TARGET_KEYS = {"kind", "name", "namespace"}


def render(folder: Path) -> list[Document]:
    """The objects of an overlay, in the order of its resources."""
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(said) <= _KEYS, f"not rendered here: {set(said) - _KEYS}"
    objects: list[Document] = [
        yaml.safe_load((folder / resource).read_text()) for resource in said["resources"]
    ]
    for patch in said["patches"]:
        chosen = [one for one in objects if _matches(patch["target"], one)]
        assert chosen, f"{patch['target']} matches nothing"
        for one in chosen:
            jsonpatch.apply_patch(one, yaml.safe_load(patch["patch"]), in_place=True)
    return objects


def _matches(target: Mapping[str, str], one: Document) -> bool:
    assert set(target) <= _TARGET_KEYS
    metadata = one["metadata"]
    return (
        re.fullmatch(target.get("kind", ".*"), one["kind"]) is not None
        and re.fullmatch(target.get("name", ".*"), metadata["name"]) is not None
        and target.get("namespace", metadata.get("namespace")) == metadata.get("namespace")
    )
