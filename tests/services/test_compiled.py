"""What the image has compiled does the same as its source."""

import os
import subprocess
import sys

import pytest

from bench._compiled import compiled
from closedloop import paths


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_what_is_compiled_passes_the_tests_of_its_source() -> None:
    folder = compiled()
    if folder is None:
        pytest.skip("nothing compiles here: a C compiler or the headers of Python are missing")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    program = "import closedloop.loop.observation as module; print(module.__file__)"
    imported = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
    assert imported.startswith(str(folder))
    assert imported.endswith(".so\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n2", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tests/loop", "tests/log", "tests/services"],
        cwd=paths.checkout_root(),
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
