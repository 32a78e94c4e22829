"""Options that several commands share."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from closedloop.platforms.protocol import Platform

# Services that commands talk to, as `Platform.url` names them.
GATEWAY = "istio-system/istio-ingressgateway"
LOG = "seldon-logs/elasticsearch"


class PlatformName(StrEnum):
    """Where the suite runs."""

    EMBEDDED = "embedded"
    CLUSTER = "cluster"


PlatformOption = Annotated[
    PlatformName,
    typer.Option(
        "--platform",
        envvar="CLOSEDLOOP_PLATFORM",
        help="Where: this machine without Kubernetes, or the cluster of your kubeconfig.",
    ),
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace of the model's SeldonDeployment.")
]
ModelArgument = Annotated[str, typer.Argument(help="Name of the model's SeldonDeployment.")]


def open_platform(name: str, *, owned: bool = False) -> Platform:
    """The platform of that name; if `owned`, what is started through it ends with this process.

    Raises PlatformError.
    """
    from closedloop.platforms import connect

    return connect(name, parent_pid=os.getpid() if owned else None)
