"""The alert logger: what Alertmanager tells, one document an alert, in `closedloop-alerts`."""
