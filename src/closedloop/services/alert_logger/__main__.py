"""`python -m closedloop.services.alert_logger`."""

from prometheus_client import REGISTRY

from closedloop.services.alert_logger.app import Settings, create_app
from closedloop.services.kit import server, service

settings = service.from_environment(Settings)
service.configure_logs(settings.log_level)
server.run(create_app(settings, REGISTRY), settings)
