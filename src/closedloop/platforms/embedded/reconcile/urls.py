"""In-cluster URLs in text: found, and replaced by URLs that can be called from this machine."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

# (namespace, service, port) -> URL without a trailing slash; LookupError when there is none.
UrlOf = Callable[[str, str, int], str]

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_IN_CLUSTER = re.compile(
    rf"http://(?P<service>{_LABEL})\.(?P<namespace>{_LABEL})\.svc(?:\.cluster\.local)?"
    r"(?::(?P<port>[0-9]+))?(?![A-Za-z0-9.:-])"
)


@dataclass(frozen=True, slots=True)
class ServiceUrl:
    """The service that an in-cluster URL names."""

    namespace: str
    service: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"


def in_cluster(text: str) -> Iterator[ServiceUrl]:
    """The services that in-cluster URLs in a text name; port 80 when a URL has none."""
    for match in _IN_CLUSTER.finditer(text):
        yield _service(match)


def rewrite(text: str, url_of: UrlOf) -> str:
    """The text with every in-cluster URL replaced; one without a service here stays."""

    def replace(match: re.Match[str]) -> str:
        one = _service(match)
        try:
            return url_of(one.namespace, one.service, one.port)
        except LookupError:
            return match.group()

    return _IN_CLUSTER.sub(replace, text)


def missing(texts: Iterable[str], url_of: UrlOf) -> list[str]:
    """The services, each as `namespace/service:port`, that texts name and that are not there."""
    absent: dict[str, None] = {}
    for text in texts:
        for one in in_cluster(text):
            try:
                url_of(one.namespace, one.service, one.port)
            except LookupError:
                absent[str(one)] = None
    return list(absent)


def _service(match: re.Match[str]) -> ServiceUrl:
    return ServiceUrl(match["namespace"], match["service"], int(match["port"] or 80))
