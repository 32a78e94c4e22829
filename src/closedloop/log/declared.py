"""The declared outputs as the request logger wrote them down beside the log."""

from elasticsearch import Elasticsearch

from closedloop.log.mapping import OUTPUTS
from closedloop.loop.output import Outputs, read_outputs


def declared_outputs(client: Elasticsearch) -> Outputs:
    """The declared output of each predictor. Raises the client's errors."""
    found = client.search(
        index=OUTPUTS,
        size=10_000,
        source_includes=["output"],
        allow_no_indices=True,
        ignore_unavailable=True,
    )
    return read_outputs({hit["_id"]: hit["_source"]["output"] for hit in found["hits"]["hits"]})
