"""A model's own reading and writing of the inference log in Elasticsearch.

Plain HTTP: the model servers' environment pins an old urllib3, and two calls
need no client. Documents are those of `closedloop.documents`, so what a model
stores looks as if a request logger had written it.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import groupby
from typing import Any
from urllib.parse import quote

import requests

from closedloop.documents import Document, Part, Predictor, index_name, merge

_PAGE = 1000
_ATTEMPTS = 20  # of writers that meet at one document, one wins each round
_SECONDS = 10.0  # for one call
_KEEP = "1m"  # the server keeps a scroll for this long after each page


class HistoryUnavailable(Exception):
    """Elasticsearch did not do what was asked; one sentence says what and what it answered."""


class History:
    """The log of one predictor at the Elasticsearch of `url`; `auth` is username and password."""

    def __init__(self, url: str, predictor: Predictor, auth: tuple[str, str] | None = None) -> None:
        self._url = url.rstrip("/")
        self._index = index_name(*predictor)
        self._http = requests.Session()
        self._http.auth = auth

    def judged(self, patience: float = 30.0) -> Iterator[tuple[str, Document]]:
        """(document id, document) of everything answered and judged; an absent index is empty.

        Waits up to `patience` seconds for a server that is not there yet.
        Raises `HistoryUnavailable`.
        """
        self._wait(patience)
        # What was just written has to be found as well: nothing asks again later.
        self._call("POST", f"/{self._index}/_refresh", accept=(HTTPStatus.NOT_FOUND,))
        query = {"bool": {"filter": [{"exists": {"field": f"{name}.ce-time"}} for name in _SIDES]}}
        page = self._call(
            "POST",
            f"/{self._index}/_search",
            params={"scroll": _KEEP, "ignore_unavailable": "true"},
            body={"query": query, "size": _PAGE, "sort": ["_doc"]},
        )
        try:
            while hits := page["hits"]["hits"]:
                for hit in hits:
                    yield hit["_id"], hit["_source"]
                again = {"scroll": _KEEP, "scroll_id": page["_scroll_id"]}
                page = self._call("POST", "/_search/scroll", body=again)
        finally:
            if scroll := page.get("_scroll_id"):
                self._call("DELETE", "/_search/scroll", body={"scroll_id": [scroll]})

    def store(self, parts: Sequence[Part]) -> None:
        """Merge these parts into their documents and return once they are written.

        Raises `HistoryUnavailable`; what was written before it stays, and
        writing it again changes nothing that counts.
        """
        by_document = sorted(parts, key=lambda part: part.document_id)
        for document_id, group in groupby(by_document, key=lambda part: part.document_id):
            self._merge(document_id, list(group))

    def _merge(self, document_id: str, parts: list[Part]) -> None:
        path = f"/{self._index}/_doc/{quote(document_id, safe='')}"
        for _ in range(_ATTEMPTS):
            known = self._call("GET", path, accept=(HTTPStatus.NOT_FOUND,))
            document: Document | None = known.get("_source")
            if document is None:
                params: dict[str, Any] = {"op_type": "create"}
            else:
                params = {key: known[f"_{key.removeprefix('if_')}"] for key in _UNCHANGED}
            for part in parts:
                document, _outcome = merge(document, part)
            body = {**(document or {}), "logged_at": datetime.now(UTC).isoformat()}
            answer = self._call("PUT", path, params, body, accept=(HTTPStatus.CONFLICT,))
            if "result" in answer:
                return
        raise HistoryUnavailable(
            f"document {document_id!r} in {self._index} changed {_ATTEMPTS} times while it was"
            " written: send the feedback again"
        )

    def _wait(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while True:
            try:
                self._call("GET", "/")
                return
            except HistoryUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _call(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        body: object = None,
        accept: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        try:
            response = self._http.request(
                method, self._url + path, params=params, json=body, timeout=_SECONDS
            )
            if response.ok or response.status_code in accept:
                return dict(response.json())
            said = f"{response.status_code} {response.text[:200]}"
        except (requests.RequestException, ValueError) as error:
            said = str(error)
        raise HistoryUnavailable(f"{method} {path} at {self._url} failed: {said}")


_SIDES = ("response", "feedback")
_UNCHANGED = ("if_seq_no", "if_primary_term")
