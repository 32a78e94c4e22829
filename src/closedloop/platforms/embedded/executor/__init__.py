"""The stand-in for Seldon Core's executor: the process in front of every model.

It answers as `executor/` of Seldon Core 1.17.1 does for a graph of one MODEL
node, and sends the same CloudEvents. Beyond the real one it has counters of
lost events, a timeout for the sink, and a queue that is drained at the end.
"""
