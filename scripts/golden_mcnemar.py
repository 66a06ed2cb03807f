"""Writes tests/golden/mcnemar.json: pairs of counts, and the p-value of the exact two-sided test of each.

SciPy's binomial test, held to a sum of whole numbers here.

pip install scipy; python scripts/golden_mcnemar.py
"""

import json
from fractions import Fraction
from pathlib import Path

import scipy
from scipy.stats import binomtest

PAIRS = [
    (0, 0), (0, 1), (1, 0), (1, 1), (0, 5), (0, 6), (1, 8), (3, 3), (2, 12), (12, 2), (7, 20), (21, 19),
    (59, 6), (150, 101), (500, 500), (0, 1000), (480, 620), (4000, 4400), (1, 1200),
]


def exact(first, second):
    """Twice the tail of the binomial distribution of one half, at most 1."""
    n = first + second
    term = tail = 1
    for i in range(1, min(first, second) + 1):
        term = term * (n + 1 - i) // i
        tail += term
    return min(Fraction(1), Fraction(2 * tail, 2**n))


cases = []
for first, second in PAIRS:
    p = exact(first, second)
    if first + second:
        theirs = binomtest(first, first + second, 0.5).pvalue
        assert abs(Fraction(theirs) - p) <= p * Fraction(1, 10**9) + Fraction(1e-300), (first, second, theirs, float(p))
    cases.append({"only_first": first, "only_second": second, "p_value": float(p)})
golden = {"scipy": scipy.__version__, "cases": cases}
path = Path(__file__).parent.parent / "tests/golden/mcnemar.json"
path.write_text(json.dumps(golden) + "\n")
