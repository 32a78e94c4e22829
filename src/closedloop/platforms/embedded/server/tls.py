"""The server's certificate, made at each start, and the kubeconfig by which clients trust it."""

import base64
import ssl
from pathlib import Path

import trustme
import yaml

from closedloop.machine import write_whole

CONTEXT = "closedloop"


def certificate(address: str) -> tuple[ssl.SSLContext, bytes]:
    """A TLS context for a server at this address, and the authority's certificate as PEM.

    The authority's key is forgotten: it signs nothing else.
    """
    authority = trustme.CA(organization_name="closedloop", organization_unit_name="one machine")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address, "localhost").configure_cert(context)
    return context, authority.cert_pem.bytes()


def write_kubeconfig(path: Path, url: str, authority: bytes, token: str) -> None:
    """Write a kubeconfig that this user alone can read."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {
                    "server": url,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    write_whole(path, yaml.safe_dump(content, sort_keys=False), mode=0o600)
