"""The connection to an API server: the kubeconfig, requests, and the kinds it knows."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import urllib3.exceptions
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient, LazyDiscoverer, Resource
from kubernetes.dynamic.exceptions import ResourceNotFoundError, ResourceNotUniqueError

from closedloop.platforms.parts import PARTS
from closedloop.platforms.protocol import PlatformError

Object = dict[str, Any]

# A kind that several groups or versions have is read in this one.
_KINDS = {
    "v1": "ConfigMap Event Namespace Node PersistentVolumeClaim Pod Secret Service ServiceAccount",
    "apps/v1": "Deployment StatefulSet DaemonSet ReplicaSet",
    "batch/v1": "Job",
    "policy/v1": "PodDisruptionBudget",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "networking.k8s.io/v1": "NetworkPolicy",
    "discovery.k8s.io/v1": "EndpointSlice",
    "storage.k8s.io/v1": "StorageClass",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    "networking.istio.io/v1": "Gateway VirtualService DestinationRule",
    "eventing.knative.dev/v1": "Broker Trigger",
    "machinelearning.seldon.io/v1": "SeldonDeployment",
    "monitoring.coreos.com/v1": "PodMonitor ServiceMonitor PrometheusRule",
}
_GROUP_VERSION = {kind: version for version, kinds in _KINDS.items() for kind in kinds.split()}
# Which installation brings a kind.
_PART_OF_GROUP = {group: one.name for one in PARTS.values() for group in one.groups}
_CONNECT = 10.0
_READ = 60.0


class ApiError(PlatformError):
    """The API server refused; `status` is HTTP's, `text` the message of its Status object."""

    def __init__(self, sentence: str, *, status: int, text: str) -> None:
        super().__init__(sentence)
        self.status, self.text = status, text


class Unreachable(PlatformError):
    """The API server does not answer."""


class Ended(PlatformError):
    """The API server has ended, and nobody will start it again by himself."""


class NoSuchKind(PlatformError):
    """The API server does not know a kind."""


class _Discoverer(LazyDiscoverer):
    """Keeps its discoveries in memory; the client's own leaves a file in the temp folder."""

    def _write_cache(self) -> None:
        pass


class _NoDiscovery:
    """For requests by path, which need to know no kind."""

    def __init__(self, *_: object) -> None:
        pass


# Why an API server that does not answer has ended; empty while it may come back.
HasEnded = Callable[[], str]


class Connection:
    """To one cluster, as a kubeconfig (the user's if None) and its context describe it.

    Raises `PlatformError` when they cannot be used; its methods raise
    `ApiError`, `Unreachable`, `Ended` or `NoSuchKind`.
    """

    def __init__(
        self,
        kubeconfig: Path | None = None,
        context: str | None = None,
        has_ended: HasEnded = str,
    ) -> None:
        self.configuration = client.Configuration()
        self._has_ended = has_ended
        try:
            config.load_kube_config(
                # Not the client's default, which is that of when it was imported.
                config_file=str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG"),
                context=context,
                client_configuration=self.configuration,
                persist_config=False,
            )
        except (ConfigException, OSError) as error:
            raise PlatformError(
                f"the kubeconfig {kubeconfig or os.environ.get('KUBECONFIG', '~/.kube/config')}"
                f" cannot be used with context {context or 'current'}: {error}"
            ) from None
        self.configuration.retries = urllib3.Retry(3, read=1, redirect=False, raise_on_status=False)
        self._client = client.ApiClient(self.configuration)
        self._plain = self._dynamic_client(_NoDiscovery)
        self._dynamic: DynamicClient | None = None

    def resource(self, kind: str, api_version: str) -> Resource:
        """The resource of a kind; without `api_version` in the version that we read."""
        wanted = api_version or _GROUP_VERSION.get(kind, "")
        query = {"kind": kind} | ({"api_version": wanted} if wanted else {"preferred": True})
        try:
            found: Resource = self._discovery().resources.get(**query)
        except ResourceNotFoundError:
            part = _PART_OF_GROUP.get(wanted.partition("/")[0])
            raise NoSuchKind(
                f"there is no kind {kind}{f' in {wanted}' if wanted else ''}:"
                + (f" install {part} first" if part else " apply its definition first")
            ) from None
        except ResourceNotUniqueError:
            raise NoSuchKind(
                f"several API groups have a kind {kind}: name its apiVersion"
            ) from None
        except ApiException as error:
            raise _refused(f"looking for the kind {kind}", error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        return found

    def gone(self, kind: str) -> NoSuchKind:
        """The error about a kind that is no longer there; the kinds are looked for anew."""
        self._dynamic = None
        return NoSuchKind(f"the cluster no longer has the kind {kind}: apply its definition first")

    def request(self, method: str, path: str, *, what: str, **parameters: Any) -> Object:
        """The object in the answer; `what` begins the sentence of an error.

        `parameters` are those of the client's `DynamicClient.request`.
        """
        response = self.raw(method, path, what=what, **parameters)
        answer: Object = json.loads(response.data)
        return answer

    def raw(
        self, method: str, path: str, *, what: str, reading: float = _READ, **parameters: Any
    ) -> urllib3.HTTPResponse:
        """The answer as it comes, for whose next bytes `reading` seconds are waited.

        Nor is more waited for a connection: of a server that hangs the kernel takes it, and the
        handshake of TLS is what stays without an answer.
        """
        # Given anew each time: the client would fill the defaults of its signature.
        parameters.setdefault("query_params", [])
        try:
            response: urllib3.HTTPResponse = self._plain.request(
                method,
                path,
                serialize=False,
                header_params={},
                _request_timeout=(min(_CONNECT, reading), reading),
                **parameters,
            )
        except ApiException as error:
            raise _refused(what, error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        return response

    def close(self) -> None:
        """Give up the connections that are kept for the next request."""
        self._client.rest_client.pool_manager.clear()

    def broken(self, what: str, error: Exception) -> Unreachable | Ended:
        """The error about an answer that was not ended."""
        if ending := self._has_ended():
            return Ended(ending)
        return Unreachable(f"{what}: the connection broke: {error}")

    def _discovery(self) -> DynamicClient:
        if self._dynamic is None:
            self._dynamic = self._dynamic_client(_Discoverer)
        return self._dynamic

    def _dynamic_client(self, discoverer: type) -> DynamicClient:
        return DynamicClient(self._client, cache_file=f"{os.devnull}/none", discoverer=discoverer)

    def _unreachable(self, error: Exception) -> Unreachable | Ended:
        if ending := self._has_ended():
            return Ended(ending)
        reason = getattr(error, "reason", None) or error
        return Unreachable(
            f"the API server {self.configuration.host} does not answer: {reason}:"
            " check that the cluster runs and that the kubeconfig names it"
        )


def _refused(what: str, error: ApiException) -> ApiError:
    text = error.reason or ""
    try:
        said = json.loads(error.body or "")
        text = said["message"] if "message" in said else said["error"]
    except (TypeError, ValueError, KeyError):
        if isinstance(error.body, bytes | str) and error.body:
            body = error.body.decode() if isinstance(error.body, bytes) else error.body
            text = body.strip() or text
    return ApiError(
        f"{what}: the API server says {text} (status {error.status})",
        status=int(error.status or 0),
        text=str(text),
    )


def lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    """The lines of an answer that goes on, each as soon as it is whole; empty ones left out."""
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.strip())
