"""The error for a request that the suite cannot meet."""


class SuiteError(Exception):
    """One sentence: what, which value, what to do."""
