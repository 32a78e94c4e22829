import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _temporary() -> Iterator[None]:
    """A short folder for what wrappers leave behind when they are killed."""
    with (
        tempfile.TemporaryDirectory(prefix="models-") as folder,
        pytest.MonkeyPatch.context() as to,
    ):
        to.setenv("TMPDIR", folder)
        yield
