"""The names that Seldon's operator gives (`seldondeployment_types.go`, Seldon Core v1.17.1).

Operator and gateway know a predictor by them; a name that would be too long is replaced by a
hash of it.
"""

import hashlib
from collections.abc import Sequence

DEPLOYMENT_ID = "seldon-deployment-id"
"""The label of all pods of a SeldonDeployment; the value is `deployment_id`."""
APP = "seldon-app"
"""The label by which a predictor's Service selects; the value is the Service's name."""
SHADOW = "seldon.io/shadow"
"""The label of a shadow's pods; the value is `true`."""
SERVICE_NAME = "seldon.io/svc-name"
"""The annotation of a predictor that names its Service."""
EXECUTOR = "seldon-container-engine"
"""The container of the executor, which the operator adds to a predictor's pod."""

_LONGEST = 63


def deployment_id(sdep: str) -> str:
    """The value of the label `DEPLOYMENT_ID`."""
    return _short(sdep)


def selector(sdep: str) -> str:
    """The label selector of all that the operator makes of a SeldonDeployment."""
    return f"{DEPLOYMENT_ID}={deployment_id(sdep)}"


def deployment(sdep: str, predictor: str, containers: Sequence[str], named: str = "") -> str:
    """The Deployment of a predictor's first component; `named` is that component's own name."""
    return _short(f"{sdep}-{predictor}-0-{named or '-'.join(containers)}")


def predictor_service(sdep: str, predictor: str, own: str | None = None) -> str:
    """The Service in front of a predictor's executor; `own` is its annotation `SERVICE_NAME`."""
    return own or _short(f"{sdep}-{predictor}")


def container_service(sdep: str, predictor: str, container: str) -> str:
    """The Service in front of a predictor's model."""
    return _short(f"{sdep}-{predictor}-{container}")


def container_label(container: str) -> str:
    """The label by which the model's Service selects; the value is the Service's name."""
    return f"seldon-app-svc-{container}"


def gateway_path(namespace: str, sdep: str) -> str:
    """The path of a SeldonDeployment at the gateway, without a slash at its end."""
    return f"/seldon/{namespace}/{sdep}"


def _short(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    # A name for people to tell objects apart, not a secret.
    return "seldon-" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
