"""Close the loop on models in production: log, join, score, alert, compare, promote.

The modules at the top of this package that a model image needs (`events`,
`payload`, `documents`, `scoring`) use the standard library only.
"""

__version__ = "0.1.0"
