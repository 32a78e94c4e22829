"""A helm release as helm keeps it: one Secret of its namespace for each revision.

Reading it takes one request; helm itself is a process that needs a tenth of a second or more.
"""

import base64
import gzip
import json
from typing import Any

from closedloop.platforms.client.api import Api
from closedloop.platforms.cluster.helm import Helm, Release

_REVISION = "version"  # a label, besides the release's `name`


def newest(api: Api, helm: Helm, name: str, namespace: str) -> Release | None:
    """The newest revision of a release, None if there is none. Raises `PlatformError`.

    Helm is asked where it keeps no Secret, for it may keep releases elsewhere, and
    where the Secret is not of the form that is known.
    """
    kept, _ = api.list("Secret", namespace, labels=f"owner=helm,name={name}")
    try:
        return _decoded(max(kept, key=_revision))
    except (ValueError, KeyError, TypeError, OSError, EOFError):
        return helm.release(name, namespace)


def _revision(secret: dict[str, Any]) -> int:
    return int(secret["metadata"]["labels"][_REVISION])


def _decoded(secret: dict[str, Any]) -> Release:
    """Helm's JSON, compressed and encoded; the Secret's data is encoded once more."""
    kept = base64.b64decode(base64.b64decode(secret["data"]["release"]))
    said = json.loads(gzip.decompress(kept))
    chart = said["chart"]["metadata"]
    return Release(
        str(chart["name"]), str(chart["version"]), said["info"]["status"], said.get("config") or {}
    )
