"""The images and charts that a cluster's run pulls: listed, or brought into one folder."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def mirror(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where to bring it; without a folder it is only listed."),
    ] = None,
    registry: Annotated[
        str, typer.Option("--registry", help="A mirror to pull images from, such as host/path.")
    ] = "",
) -> None:
    """List every image, chart and manifest of a run on a cluster, or bring them into a folder.

    `closedloop up --platform cluster --offline FOLDER` then needs no network.
    Images come through docker, charts through helm.
    """
    from closedloop import paths
    from closedloop.platforms.cluster.mirror import contents, fill
    from closedloop.platforms.cluster.sources import Sources
    from closedloop.platforms.cluster.versions import read

    console = Console(highlight=False, soft_wrap=True)
    manifests = paths.manifests_folder()
    versions = read(manifests)
    sources = Sources(paths.parts_folder() / "cluster")
    if folder is None:
        for line in contents(versions, manifests, sources).lines():
            console.print(line)
        return
    fill(folder, versions, manifests, sources, console.print, registry=registry)
    console.print(f"{folder} has everything.")
