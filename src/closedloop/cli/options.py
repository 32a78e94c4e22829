"""Options that several commands share."""

import functools
import inspect
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from closedloop.platforms.protocol import Platform


class PlatformName(StrEnum):
    """Where the suite runs."""

    EMBEDDED = "embedded"
    CLUSTER = "cluster"


PlatformOption = Annotated[
    PlatformName,
    typer.Option(
        "--platform",
        envvar="CLOSEDLOOP_PLATFORM",
        help="Where: this machine without Kubernetes, or a cluster (kind, or --context).",
    ),
]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace of the model's SeldonDeployment.")
]
ModelArgument = Annotated[str, typer.Argument(help="Name of the model's SeldonDeployment.")]


ContextOption = Annotated[
    str | None,
    typer.Option(
        help="A context of your kubeconfig, for --platform cluster: nothing there is changed that"
        " closedloop did not make. (Default: a kind cluster of its own.)",
        envvar="CLOSEDLOOP_CONTEXT",
        show_default=False,
    ),
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        help="A registry that mirrors every image, for --platform cluster.",
        envvar="CLOSEDLOOP_REGISTRY",
        show_default=False,
    ),
]
OfflineOption = Annotated[
    Path | None,
    typer.Option(
        help="A folder with everything, as `closedloop mirror` fills it, for --platform cluster.",
        envvar="CLOSEDLOOP_OFFLINE",
        resolve_path=True,  # notebooks read it in a folder of their own
        show_default=False,
    ),
]
_CLUSTER_OPTIONS = {"context": ContextOption, "registry": RegistryOption, "offline": OfflineOption}
ChannelOption = Annotated[
    str | None,
    typer.Option(
        help="The kind of Knative channel in which a new broker keeps events, for --platform"
        " cluster: NatsJetStreamChannel or KafkaChannel, which the cluster must have."
        " (Default: InMemoryChannel, whose events are lost with its pod.)",
        envvar="CLOSEDLOOP_CHANNEL",
        show_default=False,
    ),
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        help="Where Elasticsearch keeps the log, for --platform cluster: a volume claim, or its"
        " pod, with which it goes. (Default: claim, if there is a default StorageClass.)",
        metavar="claim|pod",
        envvar="CLOSEDLOOP_STORAGE",
        show_default=False,
    ),
]
# Of commands that install the parts.
_INSTALL_OPTIONS = {**_CLUSTER_OPTIONS, "channel": ChannelOption, "storage": StorageOption}


def on_clusters(command: Callable[..., None], *, installs: bool = False) -> Callable[..., None]:
    """The command with the options that say which cluster; they reach it by the environment.

    One that `installs` also has those that say how. Notebooks run in processes
    of their own, and find them there too.
    """

    offered = _INSTALL_OPTIONS if installs else _CLUSTER_OPTIONS

    @functools.wraps(command)
    def with_options(*arguments: Any, **options: Any) -> None:
        for name in offered:
            if (value := options.pop(name)) is not None:
                os.environ[f"CLOSEDLOOP_{name.upper()}"] = str(value)
        command(*arguments, **options)

    own = inspect.signature(command)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in offered.items()
    ]
    parameters = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own.parameters.values()
    ]
    vars(with_options)["__signature__"] = own.replace(parameters=[*parameters, *added])
    with_options.__annotations__ = {**command.__annotations__, **offered}
    return with_options


def open_platform(name: str, *, owned: bool = False) -> Platform:
    """The platform of that name; if `owned`, its processes end with this one.

    Raises PlatformError.
    """
    from closedloop.platforms import connect

    return connect(name, parent_pid=os.getpid() if owned else None)
