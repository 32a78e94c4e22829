"""The request logger: every event of every model, in Elasticsearch, before it is acknowledged.

    app ──► backlog ──► writer ──► batch (what to write, pure)
                          └──────► store (Elasticsearch)

What cannot be logged is kept as a dead letter, with the reason.
"""
