"""The pods of a predictor: its model, and the executor in front of it."""

from collections.abc import Iterator
from dataclasses import replace

from closedloop import seldon
from closedloop.platforms.embedded.desired import Pod, Process
from closedloop.platforms.embedded.kinds.pod import Container
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.deployments import first_ports, revision
from closedloop.platforms.embedded.reconcile.seldon.containers import (
    UnsupportedAt,
    executor,
    image,
    model,
)
from closedloop.platforms.embedded.reconcile.seldon.placed import Placed, placed
from closedloop.platforms.embedded.reconcile.urls import rewrite
from closedloop.platforms.embedded.reconcile.variables import Environment, environment
from closedloop.platforms.embedded.reconcile.volumes import Mounts, check_named, fill, mounts

_DEFAULT_GRACE = 20


def pods(context: Context) -> Iterator[Pod]:
    """The pods of all predictors whose references are there."""
    for one in placed(context):
        processes = _processes(context, one)
        if processes is None:
            continue
        images = [image(one, context.runtime)]
        pod = Pod(
            workload=f"{one.namespace}/{one.deployment}",
            owner=one.sdep.key,
            labels=one.labels,
            processes=processes,
            ports=first_ports(processes),
            revision=revision(processes, images, one.labels, one.annotations),
            waits_for=() if one.component is None else fill(context, one.sdep, one.component.spec),
        )
        yield from [pod] * one.replicas


def _processes(context: Context, one: Placed) -> tuple[Process, ...] | None:
    """The two processes, or None when something they need is missing."""
    texts = context.texts(one.namespace)
    orchestrator = Container(name=seldon.EXECUTOR, env=one.predictor.svc_orch_spec.env)
    environments = [
        environment(container, one.namespace, texts) for container in (one.container, orchestrator)
    ]
    grace = one.component.spec.termination_grace_period_seconds if one.component else None
    seconds = float(_DEFAULT_GRACE if grace is None else grace)
    try:
        processes = (
            model(
                one,
                environments[0].values,
                context.runtime,
                mounts=_mounts(context, one, environments[0]),
                grace=seconds,
            ),
            executor(one, environments[1].values, context.runtime, grace=seconds),
        )
    except UnsupportedAt as error:
        context.fault(one.sdep, (*one.path, *error.path), str(error))
        return None
    if not _complete(context, one, environments):
        return None
    return tuple(_reachable(context, process) for process in processes)


def _mounts(context: Context, one: Placed, env: Environment) -> Mounts:
    """The volumes of the model's container, each of which something must name."""
    if one.component is None:
        return Mounts({})
    there = mounts(context, one.sdep, one.component.spec, one.container)
    texts = [*env.values.values(), *(parameter.value for parameter in one.graph.parameters)]
    path = (*one.path, "componentSpecs", 0, "spec", "containers", 0)
    check_named(context, one.sdep, path, there, texts)
    return there


def _complete(context: Context, one: Placed, environments: list[Environment]) -> bool:
    problems = [problem for env in environments for problem in env.problems]
    for problem in problems:
        context.problem(one.sdep, problem)
    return not problems


def _reachable(context: Context, process: Process) -> Process:
    """The process with the in-cluster URLs in its environment rewritten."""
    env = {name: rewrite(text, context.url_of) for name, text in process.env.items()}
    return replace(process, env=env)
