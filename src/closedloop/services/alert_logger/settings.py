"""Environment of the alert logger."""

from closedloop.services.kit import service


class Settings(service.Settings):
    """Each field is the environment variable of the same name in upper case."""

    elasticsearch_url: str = "http://127.0.0.1:9200"
    elasticsearch_seconds: float = 5.0
    max_notification_bytes: int = 1 << 20
