"""Refusals, as the Status objects that every Kubernetes client understands."""

from collections.abc import Mapping, Sequence

Object = dict[str, object]

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    500: "InternalError",
}


class Refusal(Exception):
    """A request is answered by a Status; `causes` are (reason, field, message)."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str = "",
        details: Mapping[str, object] | None = None,
        causes: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or _REASONS.get(code, "Unknown")
        self.details = dict(details or {})
        if causes:
            self.details["causes"] = [
                {"reason": why, "message": text, **({"field": field} if field else {})}
                for why, field, text in causes
            ]

    def status(self) -> Object:
        """The Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": self.details} if self.details else {}),
            "code": self.code,
        }


def not_found(resource: str, name: str) -> Refusal:
    group = resource.partition(".")[2]
    plural = resource.partition(".")[0]
    return Refusal(
        404,
        f'{resource} "{name}" not found',
        details={"name": name, "kind": plural} | ({"group": group} if group else {}),
    )


def success(details: Mapping[str, object]) -> Object:
    """The Status of a deletion."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": dict(details),
    }
