"""Wall time of every notebook with the test parameters, on a platform of its own."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from closedloop.paths import checkout_root

_FIRST_HALF = ("01", "02", "03", "04")


def run() -> dict[str, float]:
    """Seconds, kernel start and all: each notebook, the first four, the whole run."""
    with tempfile.TemporaryDirectory(prefix="closedloop-bench-") as folder:
        out = Path(folder) / "out"
        subprocess.run(
            [Path(sys.executable).with_name("closedloop"), "run", "--test", "--out", out],
            cwd=checkout_root(),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        told = json.loads((out / "run.json").read_text())
    seconds = {each["notebook"]: each["seconds"] for each in told["notebooks"]}
    first = sum(s for name, s in seconds.items() if name.startswith(_FIRST_HALF))
    return {**seconds, "first_four": first, "whole_run": told["seconds"]}
