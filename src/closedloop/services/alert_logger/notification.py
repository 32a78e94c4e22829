"""Alertmanager's webhook notification, version 4, and the document of an alert.

Wire format: Alertmanager's configuration reference, `<webhook_config>`. It
carries no time of its own. An alert is one from its start to its end, so it is
told apart by fingerprint and start, and of its statuses `resolved` is newer than
`firing`, in whichever order they come.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from closedloop.loop import rfc3339
from closedloop.validation import first_fault

Document = dict[str, object]


class InvalidNotification(ValueError):
    """A notification that cannot be used: one sentence with the fault and the remedy."""


class Alert(BaseModel):
    """One alert of a notification. `endsAt` means something only when it is resolved."""

    model_config = ConfigDict(strict=True)

    status: Literal["firing", "resolved"]
    fingerprint: str = Field(min_length=1, max_length=64)
    startsAt: Annotated[str, AfterValidator(rfc3339.canonical)]  # noqa: N815 - as on the wire
    endsAt: str = Field("", validate_default=True)  # noqa: N815 - as on the wire
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    generatorURL: str = ""  # noqa: N815 - as on the wire

    @field_validator("endsAt")
    @classmethod
    def _canonical_once_resolved(cls, time: str, info: ValidationInfo) -> str:
        return rfc3339.canonical(time) if info.data.get("status") == "resolved" else time

    @property
    def document_id(self) -> str:
        return f"{self.fingerprint}-{self.startsAt}"


def alerts_of(message: object) -> tuple[list[Alert], str | None]:
    """The alerts that can be read, and a sentence about the first that cannot.

    Raises `InvalidNotification` when it is no notification of version 4.
    """
    if not isinstance(message, dict) or message.get("version") != "4":
        raise InvalidNotification("the body is no notification of version 4: send Alertmanager's")
    alerts = message.get("alerts")
    if not isinstance(alerts, list):
        raise InvalidNotification("the notification has no list of alerts: send Alertmanager's")
    read: list[Alert] = []
    problem = None
    for i, alert in enumerate(alerts):
        try:
            read.append(Alert.model_validate(alert))
        except ValidationError as error:
            problem = problem or first_fault(error, "alerts", i)
    return read, problem


def merged(known: Mapping[str, object] | None, alert: Alert, now: str) -> Document:
    """The document of an alert with `alert` in it; equal to `known` when that says it all.

    `firing_logged_at` and `resolved_logged_at` are when each was first heard
    of, by the clock of this service (`now`, RFC 3339).
    """
    document: Document = {
        "@timestamp": alert.startsAt,
        "fingerprint": alert.fingerprint,
        "startsAt": alert.startsAt,
        "status": alert.status,
        "alertname": alert.labels.get("alertname", ""),
        "severity": alert.labels.get("severity", ""),
        **(known or {}),
    }
    document.setdefault(f"{alert.status}_logged_at", now)
    if not (known and known.get("status") == "resolved" and alert.status == "firing"):
        document["status"] = alert.status
        document["labels"] = alert.labels
        document["annotations"] = alert.annotations
        document["generatorURL"] = alert.generatorURL
        if alert.status == "resolved":
            document["endsAt"] = alert.endsAt
    return document
