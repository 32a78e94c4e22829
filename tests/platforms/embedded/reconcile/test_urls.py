import pytest

from closedloop.platforms.embedded.reconcile.urls import missing, rewrite
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
        ("http://absent.b.svc/x", "http://absent.b.svc/x"),
        ("a.b.svc:80", "a.b.svc:80"),
    ],
)
def test_rewrite(text: str, expected: str) -> None:
    assert rewrite(text, url_of) == expected


def test_missing_names_each_once() -> None:
    texts = ["http://absent.b.svc http://a.b.svc", "http://absent.b.svc:80 http://absent.c.svc:1"]
    assert missing(texts, url_of) == ["b/absent:80", "c/absent:1"]
