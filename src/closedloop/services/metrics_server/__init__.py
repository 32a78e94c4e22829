"""The metrics server: predictions joined with their truth, as Prometheus metrics.

app ──► state (pure) ──► collector ──► /metrics
          ▲                  ▲
replay ───┘              from_log, with `SOURCE=log`: counts that Elasticsearch adds up
  from the inference log: at start, then again and again
"""
