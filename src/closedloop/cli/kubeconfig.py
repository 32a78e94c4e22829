"""How kubectl and other clients of Kubernetes reach the embedded platform."""

from pathlib import Path
from typing import Annotated

import typer


def kubeconfig(
    path: Annotated[
        bool, typer.Option("--path", help="Print where the file is, and not what is in it.")
    ] = False,
) -> None:
    """Print the kubeconfig of the embedded platform: it is a Kubernetes API server, too.

    `export KUBECONFIG=$(closedloop kubeconfig --path)` has kubectl, k9s and
    other clients use it while the platform is up. A cluster is reached as
    your own kubeconfig says.
    """
    from closedloop import paths
    from closedloop.platforms.embedded import state
    from closedloop.platforms.protocol import PlatformError

    folder = paths.platform_folder()
    daemon = state.read(folder)
    if daemon is None or not state.held(folder):
        raise PlatformError("no platform runs here: start one with `closedloop up`")
    typer.echo(daemon.kubeconfig if path else Path(daemon.kubeconfig).read_text(), nl=path)
