"""What paths are about."""

import pytest

from closedloop.platforms.embedded.server.requests import Target, target


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/namespaces", Target("", "v1", "", "namespaces", "", "")),
        ("/api/v1/namespaces/a", Target("", "v1", "", "namespaces", "a", "")),
        ("/api/v1/namespaces/a/status", Target("", "v1", "", "namespaces", "a", "status")),
        ("/api/v1/namespaces/a/pods", Target("", "v1", "a", "pods", "", "")),
        ("/api/v1/namespaces/a/pods/p/log", Target("", "v1", "a", "pods", "p", "log")),
        ("/api/v1/pods", Target("", "v1", "", "pods", "", "")),
        (
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            Target("apps", "v1", "a", "deployments", "d", "scale"),
        ),
        ("/apis/apps/v1", None),
        ("/apis", None),
        ("/version", None),
        ("/api/v1/namespaces/a/pods/p/log/more", None),
    ],
)
def test_paths(path: str, expected: Target | None) -> None:
    assert target(path) == expected
