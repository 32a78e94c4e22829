import pytest

from closedloop.platforms.embedded.reconcile.urls import rewrite
from tests.platforms.embedded.reconcile.objects import url_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a.b.svc", "http://here/b/a/80"),
        ("http://a.b.svc.cluster.local:9200/x?y=1", "http://here/b/a/9200/x?y=1"),
        ("x=http://a.b.svc,http://c.d.svc:1", "x=http://here/b/a/80,http://here/d/c/1"),
        ('{"url":"http://a.b.svc.cluster.local"}', '{"url":"http://here/b/a/80"}'),
        ("http://a.b.svc.cluster.locale", "http://a.b.svc.cluster.locale"),
        ("http://a.b.svc.example.org", "http://a.b.svc.example.org"),
        ("a.b.svc:80", "a.b.svc:80"),
    ],
)
def test_rewrite(text: str, expected: str) -> None:
    assert rewrite(text, url_of) == expected
