"""Running the notebooks: set up a platform, execute, report, and make slides of the result."""

import sys

# jsonschema, which nbformat imports, builds the grammar of IRIs from it: a second's work
# for a check of formats that no notebook has.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None says: not there


class SuiteError(Exception):
    """The suite cannot meet a request; a sentence with the value and the remedy."""
