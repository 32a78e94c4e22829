"""Services and routes: how a predictor is reached."""

from collections.abc import Iterator
from itertools import groupby

from closedloop import seldon
from closedloop.platforms.embedded.desired import Route, ServicePort
from closedloop.platforms.embedded.kinds.gateway import Gateway
from closedloop.platforms.embedded.reconcile.context import Context
from closedloop.platforms.embedded.reconcile.read import of_kind
from closedloop.platforms.embedded.reconcile.seldon.placed import EXECUTOR, Placed, placed


def service_ports(context: Context) -> Iterator[ServicePort]:
    """The HTTP ports of the Services that the operator makes for each predictor."""
    for one in placed(context):
        yield ServicePort(
            namespace=one.namespace,
            service=one.service,
            name="http",
            port=EXECUTOR,
            target=EXECUTOR,
            selector={seldon.APP: one.service},
        )
        yield ServicePort(
            namespace=one.namespace,
            service=one.container_service,
            name="http",
            port=one.ports.http,
            target=one.ports.http,
            selector={one.container_label: one.container_service},
        )


def routes(context: Context) -> Iterator[Route]:
    """A route for each SeldonDeployment, if the Gateway that Seldon was set up with is there."""
    gateways = {one.path for one in of_kind(context.objects, Gateway)}
    for _, group in groupby(placed(context), key=lambda one: one.sdep.key):
        predictors = list(group)
        if context.runtime.gateway in gateways:
            yield _route(predictors)
        else:
            context.problem(predictors[0].sdep, f"Gateway {context.runtime.gateway} does not exist")


def _route(predictors: list[Placed]) -> Route:
    served = [one for one in predictors if not one.predictor.shadow]
    shadow = next((one for one in predictors if one.predictor.shadow), None)
    return Route(
        prefix=f"{seldon.gateway_path(predictors[0].namespace, predictors[0].name)}/",
        rewrite="/",
        # A route with one destination gets all of the traffic, whatever its weight.
        backends=tuple(
            (_host(one), one.predictor.traffic if len(served) > 1 else 100) for one in served
        ),
        # As a mirror's percentage, traffic 0 or none means everything.
        mirror=None if shadow is None else (_host(shadow), float(shadow.predictor.traffic or 100)),
    )


def _host(one: Placed) -> str:
    return f"{one.service}.{one.namespace}:{EXECUTOR}"
