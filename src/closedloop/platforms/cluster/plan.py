"""The install plan: the steps of each part, in order, and when each is done.

Read from top to bottom it is the installation by hand; `Step.by_hand`
has the command.
"""

from dataclasses import dataclass

from closedloop.platforms.cluster import helm
from closedloop.platforms.cluster.versions import Chart, Versions
from closedloop.platforms.parts import Part, demand
from closedloop.platforms.protocol import PlatformError


@dataclass(frozen=True, slots=True)
class Ready:
    """A condition of an object, and the seconds that it may take."""

    kind: str
    name: str
    namespace: str
    condition: str = "Available"
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to install: a chart, an upstream manifest, or manifests of ours.

    An upstream manifest is ready when its definitions are established and its
    workloads rolled out; `ready` are conditions to wait for besides.
    """

    part: str
    name: str
    version: str
    by_hand: str
    chart: Chart | None = None
    url: str = ""
    manifests: tuple[str, ...] = ()
    ready: tuple[Ready, ...] = ()
    # A Deployment to restart when its release was upgraded: it holds the old certificate.
    restart: str = ""


def steps(versions: Versions, part: str) -> tuple[Step, ...]:
    """The steps of a part. Raises `PlatformError` for one that is unknown."""
    about = demand(part)
    if part not in versions.parts:
        raise PlatformError(f"versions.yaml has no cluster entry for {part}: add it")
    own = versions.parts[part]
    planned = [
        Step(part, file, own.version, f"kubectl apply -f manifests/{file}", manifests=(file,))
        for file in about.before
    ]
    planned += [
        Step(
            part,
            chart.release,
            chart.version,
            helm.by_hand(chart),
            chart=chart,
            ready=_ready(about, chart.release),
            restart=_holder(about, chart.release),
        )
        for chart in own.charts
    ]
    planned += [
        Step(
            part,
            about.files.get(file, file),
            own.version,
            f"kubectl apply --server-side -f {url}",
            url=url,
        )
        for file, url in zip(own.files, own.urls(), strict=True)
    ]
    planned += [
        Step(
            part,
            folder,
            own.version,
            f"kubectl apply -f manifests/{folder}",
            manifests=(folder,),
            ready=_ready(about, ""),
        )
        for folder in about.manifests
    ]
    return tuple(planned)


def _ready(part: Part, release: str) -> tuple[Ready, ...]:
    """The workloads that a release or its operator makes and that helm does not wait for."""
    definitions = part.definitions.get(release, ())
    return (
        *(
            Ready(one.kind, one.name, one.namespace, timeout=one.timeout)
            for one in part.workloads
            if one.release == release
        ),
        *(Ready("CustomResourceDefinition", name, "", "Established") for name in definitions),
    )


def _holder(part: Part, release: str) -> str:
    """The Deployment that holds an old certificate after an upgrade of its release."""
    held = (one.path for one in part.workloads if one.holds_certificate and one.release == release)
    return next(held, "")
