"""`python -m closedloop.models.serve CLASS`: Seldon's own Python wrapper around a model class.

CLASS is `module.Class`. All of the wrapper's environment variables hold, and
HOST is the address to listen on (unset: every address, as a pod in a cluster
must). The differences from `seldon-core-microservice`:

- it listens on HOST only, and without gRPC unless GRPC_WORKERS says otherwise
  (with gRPC the wrapper does not end at SIGTERM);
- a port that is taken ends it with one sentence; the wrapper would serve on
  without its metrics;
- metrics exist from the start, not from the first call;
- it ends with its parent, and its own processes with it, however that ended;
- a TMPDIR too long for the wrapper's sockets is replaced by /tmp.
"""

import os
import signal
import sys
import tempfile
import warnings
from typing import Any

from closedloop.machine import end_with_parent, why_taken

# multiprocessing puts `/pymp-xxxxxxxx/listener-xxxxxxxx` behind it; a socket's path has 107 bytes.
_LONGEST_TMPDIR = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")


def main() -> None:
    end_with_parent()
    os.register_at_fork(after_in_child=end_with_parent)
    os.environ.setdefault("GRPC_WORKERS", "0")
    if len(tempfile.gettempdir().encode()) > _LONGEST_TMPDIR:
        tempfile.tempdir = "/tmp"  # noqa: S108  # a short path is the point
    # The wrapper's pins are old and warn of it; nobody here can act on that.
    warnings.simplefilter("ignore")
    host = os.environ.get("HOST") or "0.0.0.0"  # noqa: S104  # a pod's own network
    for variable, default in (
        ("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", "9000"),
        ("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", "6000"),
    ):
        _refuse_taken(host, int(os.environ.get(variable, default)), variable)
    _serve(host)


def _refuse_taken(host: str, port: int, variable: str) -> None:
    if reason := why_taken(host, port):
        sys.exit(f"cannot listen on {host}:{port}: {reason}: change {variable}")


def _serve(host: str) -> None:
    # Imported here: the wrapper reads its environment when it is imported.
    from seldon_core import gunicorn_utils, microservice
    from seldon_core.metrics import SeldonMetrics

    made: list[Any] = []

    def make_metrics(**arguments: Any) -> Any:
        made.append(SeldonMetrics(**arguments))
        return made[0]

    def bound(options: dict[str, object]) -> dict[str, object]:
        _, _, port = str(options["bind"]).rpartition(":")
        return {**options, "bind": f"{host}:{port}"}

    class Rest(gunicorn_utils.UserModelApplication):  # type: ignore[misc]  # it has no types
        options: dict[str, object]

        def load_config(self) -> None:
            self.options = bound(self.options)
            super().load_config()

        def load(self) -> Any:
            application = super().load()
            if hasattr(self.user_object, "metrics"):
                # Under the method that changes them; Seldon labels each by it.
                made[0].update(self.user_object.metrics(), "feedback")
            return application

    class Metrics(gunicorn_utils.StandaloneApplication):  # type: ignore[misc]  # it has no types
        options: dict[str, object]

        def load_config(self) -> None:
            self.options = bound(self.options)
            super().load_config()

        def run(self) -> None:
            try:
                super().run()
            finally:
                # A model that serves on without metrics would look as if nothing happened.
                os.kill(os.getppid(), signal.SIGTERM)

    microservice.SeldonMetrics = make_metrics
    microservice.UserModelApplication = Rest
    microservice.StandaloneApplication = Metrics
    microservice.main()


if __name__ == "__main__":
    main()
