"""How a cost grows with size: the exponent of a power law, by least squares on logarithms; pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import linear_regression


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Of (size, cost) pairs, all positive, two or more of different sizes: 1 where twice the size costs twice."""
    return linear_regression([log(size) for size, _ in points], [log(cost) for _, cost in points]).slope
