"""A pod's revision: a digest of all that makes it this pod and not another."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from closedloop.platforms.embedded.desired import Process


def revision(
    processes: Iterable[Process],
    images: Iterable[str],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> str:
    """Ten hexadecimal digits.

    Labels and annotations of the template count, as in a Deployment: changing
    them rolls the pods. Replicas, traffic and fields for a cluster do not.
    """
    content = json.dumps(
        [[asdict(process) for process in processes], list(images), dict(labels), dict(annotations)],
        sort_keys=True,
        default=dict,
    )
    return hashlib.sha256(content.encode()).hexdigest()[:10]
