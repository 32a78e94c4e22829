"""The names that Seldon's operator gives (`seldondeployment_types.go`, tag v1.17.1)."""

import hashlib

_LONGEST = 63


def deployment_id(sdep: str) -> str:
    """The label that all pods of a SeldonDeployment carry."""
    return _short(sdep)


def deployment(sdep: str, predictor: str, containers: list[str], named: str = "") -> str:
    """The Deployment of a predictor's first component; `named` is that component's own name."""
    return _short(f"{sdep}-{predictor}-0-{named or '-'.join(containers)}")


def predictor_service(sdep: str, predictor: str) -> str:
    """The Service in front of a predictor's executor."""
    return _short(f"{sdep}-{predictor}")


def container_service(sdep: str, predictor: str, container: str) -> str:
    """The Service in front of a predictor's model."""
    return _short(f"{sdep}-{predictor}-{container}")


def _short(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    # A name for people to tell objects apart, not a secret.
    return "seldon-" + hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
