"""The live page: `closedloop live`."""

import webbrowser
from typing import Annotated

import typer
from rich.console import Console

from closedloop.cli.errors import CommandError
from closedloop.cli.options import PlatformName, PlatformOption, open_platform


def live(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 0,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Requests a second to each model, while traffic runs.")
    ] = 6.0,
    feedback: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the requests that get feedback.")
    ] = 0.9,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page, or only print its URL.")
    ] = True,
    platform: PlatformOption = PlatformName.EMBEDDED,
) -> None:
    """Show the loop on one page in the browser, with controls, until Ctrl-C.

    Starts the platform unless it is up, and deploys the models of notebooks 04
    and 06 unless they are there; both are removed at the end, and nothing else.
    """
    from closedloop.live.server import PageServer, PortTaken
    from closedloop.live.traffic import Streams
    from closedloop.live.world import World
    from closedloop.suite.interrupts import handled

    target = open_platform(platform, owned=True)
    console = Console()
    world = World(target, Streams(rate=rate, share=feedback), ours=not target.status())
    try:
        server = PageServer(world, port)
    except PortTaken as error:
        raise CommandError(str(error)) from None
    with handled(server.stop):
        try:
            world.open()
            console.print(f"{server.url}\nCtrl-C ends it", highlight=False, soft_wrap=True)
            if browser:
                webbrowser.open(server.url)
            server.run()
        finally:
            console.print("ending everything that was started", highlight=False)
            world.close()
