"""`python -m closedloop.alert_logger`."""

from prometheus_client import REGISTRY

from closedloop import service
from closedloop.alert_logger.app import create_app
from closedloop.alert_logger.settings import Settings

settings = Settings()
service.configure_logs(settings.log_level)
service.run(create_app(settings, REGISTRY), settings)
