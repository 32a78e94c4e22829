"""Objects that any platform takes, as small as they can be."""

from typing import Any

NAMESPACE = "closedloop-contract"

# Answers every path, and logs a line when it begins.
SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["WORD"].encode())
    do_POST = do_GET
    def log_message(self, *_):
        pass
print("serving", os.environ["WORD"], flush=True)
http.server.ThreadingHTTPServer((os.environ["HOST"], 8080), Handler).serve_forever()
"""


def namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def deployment(name: str = "echo", *, word: str = "one", code: str = SERVE) -> dict[str, Any]:
    """A Deployment of one pod, in our own image."""
    own = {"fieldRef": {"fieldPath": "status.podIP"}}
    container = {
        "name": "main",
        "image": "closedloop/components:0.1.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", code],
        "env": [{"name": "HOST", "valueFrom": own}, {"name": "WORD", "value": word}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    return _object(
        "apps/v1",
        "Deployment",
        name,
        replicas=1,
        selector={"matchLabels": {"app": name}},
        template={
            "metadata": {"labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
        },
    )


def service(name: str = "echo") -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    return _object("v1", "Service", name, selector={"app": name}, ports=ports)


def broker() -> dict[str, Any]:
    return _object("eventing.knative.dev/v1", "Broker", "default")


def trigger() -> dict[str, Any]:
    sink = {"ref": {"apiVersion": "v1", "kind": "Service", "name": "echo"}}
    return _object("eventing.knative.dev/v1", "Trigger", "echo", broker="default", subscriber=sink)


def config(**data: str) -> dict[str, Any]:
    metadata = {"name": "words", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _object(version: str, kind: str, name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
