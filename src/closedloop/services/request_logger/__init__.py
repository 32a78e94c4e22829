"""The request logger: every event of every model, in Elasticsearch, before it is acknowledged.

    app ──► backlog ──► writer ──► batch (the writes, pure)
                          └──────► store (Elasticsearch)

An event that cannot be logged is kept as a dead letter, with the reason.
"""
