"""Prometheus' query API, as far as a dashboard needs it.

Wire format: Prometheus HTTP API v1, `/api/v1/query` and `/api/v1/query_range`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import requests


class QueryError(Exception):
    """Prometheus refused a query; one sentence with the query and its reason."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its labels, and samples as (seconds since the epoch, value), oldest first."""

    labels: Mapping[str, str]
    samples: list[tuple[float, float]]

    @property
    def value(self) -> float:
        """The newest value."""
        return self.samples[-1][1]


class Prometheus:
    """Queries against one server. Every method raises `QueryError`."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()

    def query(self, promql: str) -> list[Series]:
        """An instant query, as of now: one sample a series."""
        result = self._get("query", {"query": promql})
        return [Series(each["metric"], [_sample(each["value"])]) for each in result]

    def scalar(self, promql: str, default: float | None = None) -> float | None:
        """The value of an instant query with at most one series; `default` when there is none."""
        found = self.query(promql)
        if len(found) > 1:
            raise QueryError(f"{promql} gives {len(found)} series: aggregate it to one")
        return found[0].value if found else default

    def query_range(self, promql: str, seconds: float, step: float = 1.0) -> list[Series]:
        """A range query over the last `seconds`, one sample every `step` seconds.

        Samples are at whole multiples of `step`, so that those of two queries meet.
        """
        end = time.time() // step * step
        parameters = {"query": promql, "start": end - seconds, "end": end, "step": step}
        result = self._get("query_range", parameters)
        return [Series(each["metric"], [_sample(s) for s in each["values"]]) for each in result]

    def _get(self, path: str, parameters: Mapping[str, object]):  # type: ignore[no-untyped-def]  # any JSON that the API gives
        try:
            response = self._session.get(
                f"{self._url}/api/v1/{path}",
                params={name: str(value) for name, value in parameters.items()},
                timeout=self._timeout,
            )
            answer = response.json()
        except requests.RequestException as error:
            raise QueryError(
                f"Prometheus at {self._url} does not answer ({error}): is the platform up?"
            ) from None
        if answer.get("status") != "success":
            asked = parameters["query"]
            raise QueryError(f"Prometheus refused {asked}: {answer.get('error', answer)}")
        return answer["data"]["result"]


def _sample(pair: tuple[float, str]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
