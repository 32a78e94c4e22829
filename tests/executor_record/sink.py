"""Where an executor posts its events: prints each as a line of JSON, and accepts it.

The standard library alone: a pod on a cluster gets this file as its command.
"""

import base64
import hashlib
import json
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST = 32 << 10  # bytes of a body; of a longer one, its length and digest: logs are rotated

_one_line = threading.Lock()


def told(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """One event as it is printed."""
    said: object = base64.b64encode(body).decode()
    if len(body) > LONGEST:
        said = {"length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return {"headers": {name.lower(): value for name, value in headers.items()}, "body": said}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        line = json.dumps(told(dict(self.headers.items()), body))
        with _one_line:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), _Handler).serve_forever()
