"""Writes `docs/scale.md` from measured unit costs: `./scripts/scale [BENCH.json]`.

The newest result of `scripts/bench unit_costs` in `out/` is kept as `docs/scale.json`, and the
page is computed from that file alone.
"""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from closedloop.paths import checkout_root

LOADS = (10**6, 10**8, 10**9)
"""Predictions a day."""

_PEAK = 3  # the busiest second, by the mean
_BUSY = 0.7  # of a core, that is planned with
_DAYS = 30  # of log that are kept
_COPIES = 2  # of each document
_SHARD = 40e9  # bytes, within the 10 to 50 GB that Elastic advises
_PREDICTORS = 50
_SCRAPE = 5  # seconds between two scrapes, as in the overlay
_NAMES = {
    "gateway": "gateway",
    "executor": "executor",
    "model": "model server (iris, scikit-learn)",
    "broker": "broker",
    "request_logger": "request logger",
    "elasticsearch": "Elasticsearch",
    "metrics_server": "metrics server, `SOURCE=events`",
    "prometheus": "Prometheus",
}
_TURN = {
    "gateway": ("all cores of one node", "more gateway replicas"),
    "executor": ("grows with its model's replicas", "more replicas of the predictor"),
    "model": ("one core each", "more replicas of the predictor"),
    "broker": ("one core on one machine", "the overlay's Kafka broker, and more partitions"),
    "request_logger": ("one core each; it keeps no state", "more replicas, or its autoscaler"),
    "elasticsearch": ("CPU of the nodes with the write shards", "more shards, then more nodes"),
    "metrics_server": ("one core: every replica counts everything", "`SOURCE=log`"),
    "prometheus": ("series, hence predictors and classes", "a longer scrape interval, or shards"),
}  # fmt: skip


# Of runs of its own, one of which had the plugin that brings transforms.
_LOG = """## `SOURCE=log` and a large log

Not of the result above: the CPU of OpenSearch 2.19, for one predictor of three classes, beside
much else on two cores.

| what is counted | CPU |
| --- | --- |
| a look, with 20 late truths a second in 2,000 hours | 0.24 s (1.43 with searches for each hour) |
| a changed hour of 100,000 documents | 0.13 to 0.21 s |
| a changed hour of 1,250 documents alone | 0.025 s |
| everything in a million documents, at the start and every `FULL_RESYNC_SECONDS` | 2.0 to 3.2 s |

The price is that of the documents in the hours that changed, however little did: from two days
on in the whole day, from 60 days on in all of 30. Where truths for a large log come late, turn
`RESYNC_SECONDS` up.

**No continuous transform does this work.** It would keep such counts in an index for all metrics
servers, and a start would read them: 0.05 to 0.15 s for a million documents. Tried with a bucket
for each hour of a predictor, in which a script adds the counts up:

- OpenSearch's does not stay exact. With a search every 15 s beside it, as a metrics server has,
and 20 late truths a second, 6 of 2,000 hours were wrong after four minutes and stayed so when all
was quiet: it goes by what its shards have written, and finds only what a refresh has shown.
Deleted feedback it never noticed, in 100 of 100 hours. Of all that it says that it is no document
behind. `SOURCE=log` had every count right at the next look.

- Elasticsearch's could not be run; the queries that its source makes were sent to OpenSearch. It
leaves out what was written within its `delay`, so that a row whose truth has just come is in no
count: 540 to 558 of 5,000, with ten truths a second and the default of 60 s. It counts every hour
again between the oldest and the newest that changed. Two more fields in each document, the first
and last write as one field for `sync` and the hour as a keyword, mended both, and it was exact in
the end. But it reads nothing twice: what shows later than `delay` is never counted. The minute
that `SOURCE=log` allows for that would be a minute of lag. Nor would it notice a deletion.

- The script takes three times the CPU of the aggregation for 100,000 documents, and about
as much for 1,250.
"""


@dataclass(frozen=True, slots=True)
class Costs:
    """The figures of `bench.unit_costs`, and where they were measured."""

    measured: Mapping[str, float]
    machine: Mapping[str, Any]
    day: str

    def cores(self, part: str, per_day: int) -> float:
        """Cores for the busiest second, at `_BUSY` each; Prometheus takes the same at any load."""
        if part == "prometheus":
            return self.measured["prometheus_cpu_us_a_second"] / 1e6 / _BUSY
        micros = max(0.0, self.measured[f"{part}_cpu_us"])
        return per_day / 86_400 * _PEAK * micros / 1e6 / _BUSY

    def full_at(self, part: str) -> float:
        """Predictions a day at which one core is busy in the busiest second."""
        return 1 / self.cores(part, 1)

    def kept(self, part: str, per_day: int) -> float:
        """Bytes on disk: a day at the broker, `_DAYS` in Elasticsearch with its copies."""
        each = self.measured[f"{part}_bytes"] * per_day
        return each if part == "broker" else each * _DAYS * _COPIES


def page(costs: Costs) -> str:
    """The whole page."""
    found = costs.measured
    day = "predictions a day"
    heads = [f"10{_power(load)}" for load in LOADS]
    units = [
        [name, _number(found[f"{part}_cpu_us"]), _number(found.get(f"{part}_bytes"))]
        for part, name in _NAMES.items()
        if part != "prometheus"
    ]
    cores = [
        [name, *(_cores(costs.cores(part, load)) for load in LOADS)]
        for part, name in _NAMES.items()
    ]
    kept = [
        [name, *(_bytes(costs.kept(part, load)) for load in LOADS)]
        for part, name in (
            ("broker", "broker, a day"),
            ("elasticsearch", f"Elasticsearch, {_DAYS} days, {_COPIES} copies"),
        )
    ]
    shards = [costs.kept("elasticsearch", load) / _COPIES / _SHARD for load in LOADS]
    kept.append([f"shards of {_bytes(_SHARD)}", *(_number(math.ceil(each)) for each in shards)])
    full = sorted((part for part in _NAMES if part != "prometheus"), key=costs.full_at)
    first = [
        [_NAMES[part], f"{costs.full_at(part) / 1e6:.1f} million", *_TURN[part]]
        for part in (*full, "prometheus")
        if part != "prometheus"
    ]
    series = found["prometheus_series_of_a_predictor"]
    samples = _PREDICTORS * series * 86_400 / _SCRAPE
    disk = samples * _DAYS * found["prometheus_bytes_of_a_sample"]
    return _unwrapped(f"""# Scale

Written by `./scripts/scale` from a result of `./scripts/bench unit_costs`, never by hand.
Measured {costs.day} on {costs.machine["cpus"]} cores, Python {costs.machine["python"]}, at
{found["predictions_per_second"]:.0f} predictions a second, on the embedded platform: where more
come together each costs less, as they are written together, and executor, broker and search
server are its stand-ins.

## What one prediction costs

With its feedback, so three events. Bytes are those kept: at the broker as stored, in
Elasticsearch the document's JSON.

{_table(["part", "CPU-µs", "bytes"], units)}

Prometheus takes {_number(found["prometheus_cpu_us_a_second"])} CPU-µs a second at any load. A
predictor of three classes has {series:.0f} series. {_PREDICTORS} of them, read every {_SCRAPE} s,
are {_number(samples)} samples a day and {_bytes(disk)} in {_DAYS} days. Series grow with predictors
and with the square of the classes, and not with predictions.

## What a load needs

Cores, for a busiest second of {_PEAK} times the mean, at {_BUSY:.0%} of each:

{_table([day, *heads], cores)}

Disk:

{_table([day, *heads], kept)}

## What is full first, and what to turn

{_table(["part", f"one core is full at, {day}", "bound", "turn"], first)}

Prometheus is bound by {_TURN["prometheus"][0]}: {_TURN["prometheus"][1]}. With `SOURCE=log` the
metrics server's work is Elasticsearch's: each hour in which documents changed is counted again
every `RESYNC_SECONDS`.

{_LOG}""")


def _unwrapped(page: str) -> str:
    """The page with one line a paragraph; tables keep theirs."""
    paragraphs = page.split("\n\n")
    return (
        "\n\n".join(
            each if each.startswith("|") else " ".join(each.splitlines()) for each in paragraphs
        )
        + "\n"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{float(f'{value:.3g}'):,.0f}"


def _cores(value: float) -> str:
    return f"{value:.2f}" if value < 1 else _number(value)


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{float(f'{value:.3g}'):,g} {unit}"
        value /= 1000
    raise AssertionError


def _power(load: int) -> str:
    return str(round(math.log10(load))).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def read(file: Path) -> Costs:
    """The costs in a result file. Raises KeyError where it has none."""
    content = json.loads(file.read_text(encoding="utf-8"))
    return Costs(content["results"]["unit_costs"], content["machine"], content["time"][:10])


def main(arguments: list[str]) -> int:
    """Write the page from the named file, or from the newest that has unit costs."""
    root = checkout_root()
    files = [Path(name) for name in arguments] or sorted((root / "out").glob("bench-*.json"))
    having = [
        file for file in files if "unit_costs" in json.loads(file.read_text())["results"]
    ]  # fmt: skip
    if not having:
        print("no result has unit costs: run ./scripts/bench unit_costs first", file=sys.stderr)
        return 1
    content = json.loads(having[-1].read_text(encoding="utf-8"))
    content["results"] = {"unit_costs": content["results"]["unit_costs"]}
    del content["failed"]
    content["machine"].pop("system", None)
    kept = root / "docs" / "scale.json"
    kept.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (root / "docs" / "scale.md").write_text(page(read(kept)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
