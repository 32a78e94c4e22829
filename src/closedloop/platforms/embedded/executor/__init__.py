"""The stand-in for Seldon Core's executor: the process in front of every model.

It answers as `executor/` of Seldon Core 1.17.1 does for a graph of one MODEL
node, and sends the same CloudEvents. What the real one lacks is marked so
where it is: counters of lost events, a timeout for the sink, and a drained
queue at the end.
"""
