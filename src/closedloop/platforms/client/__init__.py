"""The client of a Kubernetes API server, the same for every platform."""

import sys

# The client imports a validator of objects where one is installed, and that takes seconds to build
# grammars of URIs, of which nothing here makes use.
_VALIDATOR = "kubernetes_validate"
if _VALIDATOR not in sys.modules:
    sys.modules[_VALIDATOR] = None  # type: ignore[assignment]  # the import system's word for none
    import kubernetes.dynamic  # noqa: F401

    del sys.modules[_VALIDATOR]
