"""Run notebooks as a user does, on a platform of the test's own, and read what they recorded."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from closedloop.paths import checkout_root, parts_folder
from closedloop.suite.results import results

NOTEBOOKS = sorted((checkout_root() / "notebooks").glob("*.ipynb"))
_CLOSEDLOOP = Path(sys.executable).with_name("closedloop")


def key(name: str) -> str:
    """The number of a notebook's run, and the word behind the name of one that ran again."""
    return "-".join((name[:2], *name.split("-")[1:]))


class Walkthrough:
    """The command line with a platform folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        home = folder / "home"
        home.mkdir()
        # What is installed once serves every run.
        parts_folder().mkdir(parents=True, exist_ok=True)
        (home / "parts").symlink_to(parts_folder())
        self._env = {**os.environ, "CLOSEDLOOP_HOME": str(home)}
        self._env.pop("CLOSEDLOOP_ELASTICSEARCH_URL", None)

    def run(self, *options: str, out: Path | None = None) -> dict[str, dict[str, Any]]:
        """`closedloop run --test` into a new folder; the results of each notebook by its number,
        with the word behind the name of one that ran again: `08-tumour`."""
        out = out or self._folder / f"out-{len(list(self._folder.iterdir()))}"
        self.call("run", "--test", "--out", str(out), *options)
        executed = sorted(out.glob("*.ipynb"), key=lambda path: path.stem)
        return {key(path.stem): results(path) for path in executed}

    def call(self, *arguments: str, status: int = 0) -> str:
        """Run one command, which must end with `status`; returns what it printed."""
        done = subprocess.run(
            [_CLOSEDLOOP, *arguments],
            cwd=checkout_root(),
            env=self._env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout
