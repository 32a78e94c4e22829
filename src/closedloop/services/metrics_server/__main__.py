"""`python -m closedloop.services.metrics_server`."""

from prometheus_client import CollectorRegistry, disable_created_metrics

from closedloop.services.kit import server, service
from closedloop.services.metrics_server.app import create_app
from closedloop.services.metrics_server.settings import Settings

settings = service.from_environment(Settings)
service.configure_logs(settings.log_level)
# A second series for each counter, which nobody reads.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it is not annotated
server.run(create_app(settings, CollectorRegistry()), settings)
