"""The metrics server: predictions joined with their truth, as Prometheus metrics.

app ──► a source of counts ──► collector ──► /metrics

The sources: held keeps rows in a state (pure) that events and the log (replay) change;
from_log, with `SOURCE=log`, has Elasticsearch add the counts up.
"""
