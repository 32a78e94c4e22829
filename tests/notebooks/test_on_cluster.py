"""What the notebooks recorded on a cluster: the numbers of the embedded platform.

`scripts/test --platform cluster` runs them first, and names the folder of that run.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from closedloop.suite.same import read
from tests.notebooks.expected import EXPECTED
from tests.notebooks.running import key

FOLDER = os.environ.get("CLOSEDLOOP_RUN", "")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not FOLDER, reason="no run: `scripts/test --platform cluster` makes one"),
]


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    return read(Path(FOLDER))


def test_every_notebook_ran_to_its_end(run: dict[str, Any]) -> None:
    assert run["platform"] == "cluster"
    states = {key(each["notebook"]): each["state"] for each in run["notebooks"]}
    assert states == dict.fromkeys(EXPECTED, "ok")


@pytest.mark.parametrize("number", EXPECTED)
def test_the_recorded_numbers(run: dict[str, Any], number: str) -> None:
    (recorded,) = (values for name, values in run["results"].items() if key(name) == number)
    EXPECTED[number](recorded)
