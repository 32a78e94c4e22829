"""Which errors of an API server pass by themselves, by kind of error.

The texts are those of Kubernetes' admission and API machinery; each kind says
what has to happen before another try makes sense.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Passing(Enum):
    """A kind of error after which the same request can succeed."""

    WEBHOOK = "a webhook does not answer yet"
    CERTIFICATE = "a webhook's certificate is not known yet"
    CONFLICT = "the object was changed meanwhile"
    TERMINATING = "its namespace is being deleted"
    BUSY = "the API server is busy"


@dataclass(frozen=True, slots=True)
class Fault:
    """A passing error; `service` is `namespace/name` of the webhook's Service, if it was named."""

    kind: Passing
    service: str = ""


_WEBHOOK = re.compile(r"failed calling webhook|conversion webhook for .* failed")
_SERVICE = re.compile(r"https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc")
_AWAY = (
    "connection refused",
    "no endpoints available",
    "context deadline exceeded",
    "i/o timeout",
    "no route to host",
    "connection reset",
    "EOF",
    "not found",  # service "x" not found: its Service is created after its configuration
    "TLS handshake timeout",
    "Client.Timeout exceeded",
    "could not get REST client",
    "connect: operation not permitted",
)
_BUSY = {429, 502, 503, 504}
_BUSY_TEXT = ("etcdserver: ", "the server is currently unable", "apiserver not ready")


def passing(status: int, message: str) -> Fault | None:
    """The condition to wait for before the request is tried again; None for an error that stays.

    `status` is the HTTP status, `message` that of the Status object.
    """
    if _WEBHOOK.search(message):
        found = _SERVICE.search(message)
        service = f"{found[2]}/{found[1]}" if found else ""
        if "x509" in message:
            return Fault(Passing.CERTIFICATE, service)
        if any(text in message for text in _AWAY):
            return Fault(Passing.WEBHOOK, service)
        return None  # it answered, and refused
    if status == 409 and "has been modified" in message:
        return Fault(Passing.CONFLICT)
    if status in {403, 409} and ("is being terminated" in message or "is being deleted" in message):
        return Fault(Passing.TERMINATING)
    if status in _BUSY or any(text in message for text in _BUSY_TEXT):
        return Fault(Passing.BUSY)
    return None
