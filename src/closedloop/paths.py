"""Where things lie: the checkout, its manifests, and the folder of the embedded platform."""

import os
from pathlib import Path

_MARK = Path("manifests") / "versions.yaml"


class NoCheckout(Exception):
    """The manifests were not found; the message says where they were looked for."""


def checkout_root() -> Path:
    """The folder that holds `manifests/versions.yaml`.

    `$CLOSEDLOOP_ROOT`, else the nearest such folder above the current one,
    else above this file. Raises `NoCheckout`.
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
    raise NoCheckout(
        f"neither {Path.cwd()} nor a folder above it holds {_MARK}:"
        " change to the checkout or set CLOSEDLOOP_ROOT"
    )


def manifests_folder() -> Path:
    """The checkout's `manifests/`. Raises `NoCheckout`."""
    return checkout_root() / "manifests"


def home() -> Path:
    """`$CLOSEDLOOP_HOME`, by default `.closedloop` in the checkout; it need not exist yet."""
    named = os.environ.get("CLOSEDLOOP_HOME")
    return Path(named).expanduser().resolve() if named else checkout_root() / ".closedloop"


def environment() -> dict[str, str]:
    """What tells a process in another folder where things lie, where a relative path would not.

    Raises `NoCheckout`.
    """
    told = {"CLOSEDLOOP_ROOT": str(checkout_root()), "CLOSEDLOOP_HOME": str(home())}
    if listed := os.environ.get("KUBECONFIG"):
        files = (str(Path(each).absolute()) for each in listed.split(os.pathsep) if each)
        told["KUBECONFIG"] = os.pathsep.join(files)
    return told


def parts_folder() -> Path:
    """What was installed and outlives a run: packages, the model servers' environment, models."""
    return home() / "parts"


def platform_folder() -> Path:
    """The files of the running platform: state, configurations, stores and logs."""
    return home() / "platform"
