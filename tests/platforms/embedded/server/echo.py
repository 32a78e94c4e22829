"""A Deployment with a Service that need no model, for tests."""

from typing import Any

# It answers, and ends with the status that it is told by `/end/STATUS`.
SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/end/"):
            os._exit(int(self.path.rpartition("/")[2]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
print("serving", flush=True)
http.server.ThreadingHTTPServer((os.environ["HOST"], 8080), Handler).serve_forever()
"""


def deployment(name: str, *, replicas: int = 1, code: str = SERVE) -> dict[str, Any]:
    labels = {"app": name}
    host = {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {
        "name": name,
        "image": "closedloop/components:0.1.0",
        "command": ["python", "-c", code],
        "env": [host],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]},
            },
        },
    }


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }
