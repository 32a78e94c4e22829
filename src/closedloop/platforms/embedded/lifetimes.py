"""What an API server writes into an object's metadata: when it was made, and its generation."""

from collections.abc import Mapping
from datetime import UTC, datetime

from closedloop.manifests import Manifest
from closedloop.platforms.embedded.applied import Objects

# What is not the wish itself; a change of it makes no new generation.
_BESIDE = ("metadata", "status")


class Lifetimes:
    """Of each object that is there, since when it is and how often its spec was changed."""

    def __init__(self) -> None:
        self._of: dict[str, tuple[str, int]] = {}

    def note(self, before: Objects, after: Objects) -> None:
        """The objects were `before` and are `after` now."""
        for key in before.keys() - after.keys():
            self._of.pop(key, None)
        for key, manifest in after.items():
            if key not in self._of:
                self._of[key] = (now(), 1)
            elif _wish(before[key]) != _wish(manifest):
                made, generation = self._of[key]
                self._of[key] = (made, generation + 1)

    def metadata(self, key: str) -> dict[str, object]:
        """The fields for the object of this key."""
        if key not in self._of:
            return {}
        made, generation = self._of[key]
        return {"creationTimestamp": made, "generation": generation}


def now() -> str:
    """The time, as an API server writes it, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _wish(manifest: Manifest) -> Mapping[str, object]:
    return {name: value for name, value in manifest.document.items() if name not in _BESIDE}
