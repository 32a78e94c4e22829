"""Two predictors of one deployment, row by row: which was right when the other was wrong.

Both log a row under the same request id when the client chooses the
Seldon-Puid; the gateway mirrors feedback as well as predictions, so both logs
have the truth. They are joined here, by sorted paging of both indices.
Champion is the name of the predictor that serves, challenger of the one that
shadows it: `closedloop.judging.promotion.roles` says which these are now.

A row counts once. Two models that answer a request again answer it as before,
so a repeat is no new evidence (`closedloop.judging.decision.evidence`): of rows with
the same content the one that was asked first counts, and the others are left
out and counted as `repeats`. The content is the row in the request,
row i of a batch, without its id, as canonical JSON. To know a row again costs
about 300 bytes of memory a row, for a digest of 16 bytes and the two verdicts.
A row whose request is in neither log, or was too large for it, cannot be told
from a repeat. It counts, and `unlogged` says how many do: log requests
(`logger.mode: all`), of at most a megabyte, and it is 0.

Compared are rows that are right or wrong. A regression has such rows where a
tolerance is declared (`closedloop.loop.output`).
"""

from closedloop.judging.comparison.compare import Comparison, Point, compare, series
from closedloop.judging.comparison.pairs import Pair, content_of, disagreements, pairs

__all__ = [
    "Comparison",
    "Pair",
    "Point",
    "compare",
    "content_of",
    "disagreements",
    "pairs",
    "series",
]
