"""The metrics server: predictions joined with their truth, as Prometheus metrics.

app ──► state (pure) ──► collector ──► /metrics
          ▲
replay ───┘  from the inference log: at start, then again and again
"""
