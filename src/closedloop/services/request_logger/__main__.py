"""`python -m closedloop.services.request_logger`."""

from prometheus_client import REGISTRY

from closedloop.services.kit import server, service
from closedloop.services.request_logger.app import create_app
from closedloop.services.request_logger.settings import Settings

settings = service.from_environment(Settings)
service.configure_logs(settings.log_level)
server.run(create_app(settings, REGISTRY), settings, grace=settings.deadline_seconds)
