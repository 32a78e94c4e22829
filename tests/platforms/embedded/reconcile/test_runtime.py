import pytest

from closedloop.platforms.embedded.reconcile.runtime import repository


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("a/b", "a/b"),
        ("a/b:1", "a/b"),
        ("a/b@sha256:00", "a/b"),
        ("host:5000/a/b", "host:5000/a/b"),
        ("host:5000/a/b:1@sha256:00", "host:5000/a/b"),
    ],
)
def test_repository(image: str, name: str) -> None:
    assert repository(image) == name
