"""The services as their image has them, for benchmarks: compiled (`docker/components/compile`)."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from closedloop import paths

_COMPILE = Path("docker", "components", "compile")


@cache
def compiled() -> Path | None:
    """The folder to import the package from; made anew when a source has changed.

    None where there is nothing to compile with, which is said.
    """
    root = paths.checkout_root()
    source = root / "src" / "closedloop"
    kept = root / ".closedloop" / "compiled"
    folder = kept / _digest(root / _COMPILE, source)
    if not folder.exists():
        print("compiling the services as in their image …", file=sys.stderr)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=kept) as made:
            shutil.copytree(source, Path(made) / source.name)
            path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
            done = subprocess.run(
                [root / _COMPILE, source.parent, made, sys.executable],
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                print(done.stderr[-1000:], file=sys.stderr)
                print("they cannot be compiled and run interpreted", file=sys.stderr)
                return None
            shutil.copytree(made, folder)
    return folder


def _digest(command: Path, source: Path) -> str:
    said = hashlib.sha256(command.read_bytes() + sys.version.encode())
    for file in sorted(source.rglob("*.py")):
        said.update(f"{file.relative_to(source)} ".encode() + file.read_bytes())
    return said.hexdigest()[:12]
