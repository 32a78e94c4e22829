"""Deployments: from a pod template to pods."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from closedloop.platforms.embedded import desired
from closedloop.platforms.embedded.desired import Pod, Process
from closedloop.platforms.embedded.kinds.pod import Container, Deployment, Probe
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind
from closedloop.platforms.embedded.reconcile.runtime import Unsupported
from closedloop.platforms.embedded.reconcile.urls import rewrite
from closedloop.platforms.embedded.reconcile.variables import environment, expand
from closedloop.platforms.embedded.reconcile.volumes import Mounts, check_named, fill, mounts

_DEFAULT_GRACE = 30


def pods(context: Context) -> Iterator[Pod]:
    """The pods of all Deployments whose references are there."""
    for one in of_kind(context.objects, Deployment):
        processes = _processes(context, one)
        if processes is None:
            continue
        template = one.spec.template
        images = [container.image for container in template.spec.containers]
        labels = template.metadata.labels
        pod = Pod(
            workload=one.path,
            owner=one.key,
            labels=labels,
            processes=processes,
            ports=first_ports(processes),
            revision=revision(processes, images, labels, template.metadata.annotations),
            waits_for=fill(context, one, template.spec),
        )
        yield from [pod] * one.spec.replicas


def first_ports(processes: Iterable[Process]) -> dict[str, int]:
    """Port numbers by name; of two containers' ports of one name, the first."""
    ports: dict[str, int] = {}
    for process in processes:
        for name, number in process.ports.items():
            ports.setdefault(name, number)
    return ports


def probe(spec: Probe | None, ports: dict[str, int]) -> desired.Probe | None:
    """A probe with its port's number."""
    if spec is None:
        return None
    action = spec.http_get or spec.tcp_socket
    assert action is not None  # checked when the manifest was read
    port = action.port
    return desired.Probe(
        port=port if isinstance(port, int) else ports[str(port)],
        path=spec.http_get.path if spec.http_get else None,
        period=float(spec.period_seconds),
        timeout=float(spec.timeout_seconds),
        failures=spec.failure_threshold,
    )


def _processes(context: Context, one: Deployment) -> tuple[Process, ...] | None:
    """The processes, or None when something they need is missing."""
    spec = one.spec.template.spec
    grace = spec.termination_grace_period_seconds
    processes = []
    complete = True
    for index, container in enumerate(spec.containers):
        namespace = one.namespace
        env = environment(container, namespace, context.texts(namespace))
        for problem in env.problems:
            context.problem(one, problem)
        complete = complete and not env.problems
        try:
            argv = context.runtime.component(container.image, container.command, container.args)
        except Unsupported as error:
            path = ("spec", "template", "spec", "containers", index)
            context.fault(one, path, f"has image {container.image!r}: {error}")
            complete = False
            continue
        texts = [*argv, *env.values.values()]
        there = mounts(context, one, spec, container)
        check_named(context, one, ("spec", "template", "spec", "containers", index), there, texts)

        def placed(text: str, there: Mounts = there) -> str:
            return there.place(rewrite(text, context.url_of))

        processes.append(
            _process(
                container,
                tuple(placed(expand(word, env.values)) for word in argv),
                {name: placed(text) for name, text in env.values.items()},
                _DEFAULT_GRACE if grace is None else grace,
            )
        )
    return tuple(processes) if complete else None


def _process(
    container: Container, argv: tuple[str, ...], env: dict[str, str], grace: int
) -> Process:
    ports = {port.name: port.container_port for port in container.ports if port.name}
    return Process(
        name=container.name,
        argv=argv,
        env=env,
        readiness=probe(container.readiness_probe, ports),
        liveness=probe(container.liveness_probe, ports),
        stop_grace=float(grace),
        ports=ports,
    )


def revision(
    processes: Iterable[Process],
    images: Iterable[str],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> str:
    """Ten hexadecimal digits.

    Labels and annotations of the template count, as in a Deployment: changing
    them rolls the pods. Replicas, traffic and fields for a cluster do not.
    """
    content = json.dumps(
        [[asdict(process) for process in processes], list(images), dict(labels), dict(annotations)],
        sort_keys=True,
        default=dict,
    )
    return hashlib.sha256(content.encode()).hexdigest()[:10]
