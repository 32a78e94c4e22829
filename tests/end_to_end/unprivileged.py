"""A command as a user without privileges."""

import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65534


def unprivileged(parts: Path, python: str = sys.executable) -> tuple[tuple[str, ...], int]:
    """The words that run a command as a user without privileges, and the owner of its files.

    Another user where the interpreter lies open to all; else a user namespace,
    in which we are nobody and have no capability. `python` is to be run, and `parts`
    to be written. Skips the test where neither way works.
    """
    ways = (
        (("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"), NOBODY),
        (("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"), 0),
    )
    check = (
        f"import os, closedloop; assert os.getuid() == {NOBODY};"
        f"assert os.access({str(parts)!r}, os.W_OK)"
    )
    faults = []
    for way, owner in ways:
        try:
            subprocess.run([*way, python, "-c", check], capture_output=True, text=True, check=True)
        except OSError as error:
            faults.append(f"{way[0]}: {error}")
        except subprocess.CalledProcessError as error:
            faults.append(f"{way[0]}: {error.stderr.strip().splitlines()[-1]}")
        else:
            return way, owner
    pytest.skip(f"no user without privileges can run this Python: {'; '.join(faults)}")
