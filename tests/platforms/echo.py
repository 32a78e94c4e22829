"""A Deployment with a Service that any platform takes, as small as they can be."""

from typing import Any

IMAGE = "closedloop/components:0.1.0"
# It answers every path with $ANSWER, and ends with the status that it is told by `/end/STATUS`.
# Told to end, it closes every connection with the next answer, and answers whoever waits.
SERVE = """
import http.server, os, signal, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/end/"):
            os._exit(int(self.path.rpartition("/")[2]))
        body = os.environ["ANSWER"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if ending.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False
    block_on_close = False
def end(*_):
    ending.set()
    threading.Thread(target=server.shutdown).start()
ending = threading.Event()
server = Server((os.environ["HOST"], 8080), Handler)
signal.signal(signal.SIGTERM, end)
print("serving", os.environ["ANSWER"], flush=True)
server.serve_forever()
server.socket.setblocking(False)
try:
    while True:
        server.process_request(*server.get_request())
except BlockingIOError:
    pass
"""


def deployment(
    name: str = "echo",
    *,
    namespace: str = "default",
    answer: str = "one",
    replicas: int = 1,
    code: str = SERVE,
) -> dict[str, Any]:
    """A Deployment in our own image, of one container named like it."""
    own = {"fieldRef": {"fieldPath": "status.podIP"}}
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", code],
        "env": [{"name": "HOST", "valueFrom": own}, {"name": "ANSWER", "value": answer}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    labels = {"app": name}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": [container]},
        },
    }
    return _object("apps/v1", "Deployment", name, namespace, spec=spec)


def service(name: str = "echo", *, namespace: str = "default") -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    spec = {"selector": {"app": name}, "ports": ports}
    return _object("v1", "Service", name, namespace, spec=spec)


def config_map(name: str, *, namespace: str = "default", **data: str) -> dict[str, Any]:
    return _object("v1", "ConfigMap", name, namespace, data=data)


def _object(version: str, kind: str, name: str, namespace: str, **rest: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}
