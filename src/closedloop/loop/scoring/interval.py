"""An interval for a proportion.

Wilson's score interval: E. B. Wilson, "Probable inference, the law of
succession, and statistical inference", JASA 22 (1927). Unlike the normal
approximation it stays inside [0, 1] and says something at 0 of n.
"""

from math import sqrt
from statistics import NormalDist


def wilson(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Lower and upper bound of a proportion; (0, 1) when there were no trials.

    Raises ValueError unless 0 <= successes <= trials and 0 < confidence < 1.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes is {successes} of {trials} trials: give 0 to {trials}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a number between 0 and 1")
    if not trials:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At 0 of n and n of n the bound is exact; rounding must not push it past the proportion.
    lower = 0.0 if successes == 0 else (centre - half) / scale
    upper = 1.0 if successes == trials else (centre + half) / scale
    return lower, upper
