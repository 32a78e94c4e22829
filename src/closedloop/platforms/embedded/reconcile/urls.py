"""In-cluster URLs in text, replaced by URLs that can be called from this machine."""

import re
from collections.abc import Callable

# (namespace, service, port) -> URL without a trailing slash, of a Service that may yet come.
UrlOf = Callable[[str, str, int], str]

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_IN_CLUSTER = re.compile(
    rf"http://(?P<service>{_LABEL})\.(?P<namespace>{_LABEL})\.svc(?:\.cluster\.local)?"
    r"(?::(?P<port>[0-9]+))?(?![A-Za-z0-9.:-])"
)


def rewrite(text: str, url_of: UrlOf) -> str:
    """The text with every in-cluster URL replaced; port 80 is meant where a URL has none."""
    return _IN_CLUSTER.sub(
        lambda match: url_of(match["namespace"], match["service"], int(match["port"] or 80)), text
    )
