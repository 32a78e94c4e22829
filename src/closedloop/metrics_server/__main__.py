"""`python -m closedloop.metrics_server`."""

from prometheus_client import CollectorRegistry, disable_created_metrics

from closedloop import service
from closedloop.metrics_server.app import create_app
from closedloop.metrics_server.settings import Settings

settings = Settings()
service.configure_logs(settings.log_level)
disable_created_metrics()  # a second series for each counter, which nobody reads
service.run(create_app(settings, CollectorRegistry()), settings)
