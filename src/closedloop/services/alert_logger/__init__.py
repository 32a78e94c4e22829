"""The alert logger: alerts of Alertmanager, one document each, in `closedloop-alerts`."""
