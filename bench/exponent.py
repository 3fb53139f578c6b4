"""The growth of a cost with size: the exponent of a power law, by least squares on logarithms. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import linear_regression


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the exponent for (size, cost) pairs, all positive, of at least two sizes: 1 is linear growth."""
    return linear_regression([log(size) for size, _ in points], [log(cost) for _, cost in points]).slope
