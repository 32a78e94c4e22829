"""Where things lie: the checkout or the package's copy of it, and the folder of the platform."""

import os
from pathlib import Path

_MARK = Path("manifests") / "versions.yaml"
# A wheel has notebooks, manifests and the models' requirements here; a checkout has no such folder.
_PACKAGED = Path(__file__).resolve().parent / "checkout"


class NoCheckout(Exception):
    """The manifests were not found; the message says where they were looked for."""


def checkout_root() -> Path:
    """The folder that holds `manifests/versions.yaml`, `notebooks/` and `docker/iris/`.

    `$CLOSEDLOOP_ROOT`, else the nearest such folder above the current one, else
    above this file, else the copy inside an installed package. Raises `NoCheckout`.
    """
    named = os.environ.get("CLOSEDLOOP_ROOT")
    if named:
        root = Path(named).expanduser().resolve()
        if not (root / _MARK).is_file():
            raise NoCheckout(f"CLOSEDLOOP_ROOT={named} holds no {_MARK}: name a checkout")
        return root
    for start in (Path.cwd().resolve(), Path(__file__).resolve().parent):
        for folder in (start, *start.parents):
            if (folder / _MARK).is_file():
                return folder
    if (_PACKAGED / _MARK).is_file():
        return _PACKAGED
    raise NoCheckout(
        f"neither {Path.cwd()} nor a folder above it holds {_MARK}:"
        " change to the checkout or set CLOSEDLOOP_ROOT"
    )


def named(text: str) -> Path:
    """A file or folder that a user named, for a process that may run in another folder.

    What is relative is looked for where the command was called (`$CLOSEDLOOP_CALLED_IN`, else
    the current folder), then in the checkout; what is in neither is named as of the first.
    """
    called_in = Path(os.environ.get("CLOSEDLOOP_CALLED_IN") or Path.cwd())
    places = [root / Path(text).expanduser() for root in (called_in, checkout_root())]
    return next((place for place in places if place.exists()), places[0])


def manifests_folder() -> Path:
    """The checkout's `manifests/`. Raises `NoCheckout`."""
    return checkout_root() / "manifests"


def packaged() -> bool:
    """Whether there is no checkout, so that the package's own copy is used."""
    return checkout_root() == _PACKAGED


def out_folder() -> Path:
    """The folder for reports: `out` in the checkout, or in the current folder without one."""
    return (Path.cwd() if packaged() else checkout_root()) / "out"


def home() -> Path:
    """The folder of the platform and of installed parts; it need not exist yet.

    `$CLOSEDLOOP_HOME`, by default `.closedloop` in the checkout, and without one
    `closedloop` in the user's data folder (`$XDG_DATA_HOME`, `~/.local/share`).
    """
    if named := os.environ.get("CLOSEDLOOP_HOME"):
        return Path(named).expanduser().resolve()
    if not packaged():
        return checkout_root() / ".closedloop"
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().resolve() / "closedloop"


def environment() -> dict[str, str]:
    """The variables that tell a process in another folder where things lie.

    Raises `NoCheckout`.
    """
    told = {"CLOSEDLOOP_ROOT": str(checkout_root()), "CLOSEDLOOP_HOME": str(home())}
    told["CLOSEDLOOP_CALLED_IN"] = str(Path.cwd())
    if listed := os.environ.get("KUBECONFIG"):
        files = (str(Path(each).absolute()) for each in listed.split(os.pathsep) if each)
        told["KUBECONFIG"] = os.pathsep.join(files)
    return told


def parts_folder() -> Path:
    """Installed things that outlive a run: packages, the model servers' environment, models."""
    return home() / "parts"


def platform_folder() -> Path:
    """The files of the running platform: state, configurations, stores and logs."""
    return home() / "platform"
