"""Metric labels that name a predictor: bounded, so that no client can fill Prometheus."""

LABELS = ("deployment_namespace", "deployment_name", "predictor_name")

Names = tuple[str, str, str]

OTHER: Names = ("other", "other", "other")
"""Stands for all predictors past the bound, and for events that name no known one."""


class PredictorLabels:
    """Labels of at most `most` predictors, which come with accepted events."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[Names] = set()

    def accepted(self, names: Names) -> Names:
        """The labels of an accepted event's predictor."""
        if names not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(names)
        return names

    def claimed(self, names: Names) -> Names:
        """The labels of an event that only claims to be of a predictor."""
        return names if names in self._known else OTHER
