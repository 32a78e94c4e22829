"""From manifests to the desired state of one machine. Pure: objects in, plain data out."""

from closedloop.platforms.embedded.reconcile.assemble import desired
from closedloop.platforms.embedded.reconcile.read import read
from closedloop.platforms.embedded.reconcile.runtime import Runtime, runtime_from
from closedloop.platforms.embedded.reconcile.urls import UrlOf

__all__ = ["Runtime", "UrlOf", "desired", "read", "runtime_from"]
