"""What the suite cannot do."""


class SuiteError(Exception):
    """One sentence: what, which value, what to do."""
