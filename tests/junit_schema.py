"""The schema of JUnit XML: the elements and attributes of Jenkins' that ours has, or Jenkins' own.

CI fetches that one every night and names it by `CLOSEDLOOP_JUNIT_SCHEMA`.
"""

import os
from pathlib import Path

import xmlschema

_OURS = Path(__file__).parent / "suite" / "junit.xsd"
SCHEMA = xmlschema.XMLSchema(os.environ.get("CLOSEDLOOP_JUNIT_SCHEMA") or str(_OURS))
