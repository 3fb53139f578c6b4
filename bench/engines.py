"""The ways in which the product can do the whole year, for `make bench-scaling`. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import product
from bench.measured import Measured
from bench.testbed import Testbed


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way, and with how many workers."""

    name: str
    workers: int
    act: Callable[[Testbed], Measured]

    def __str__(self) -> str:
        return f"{self.name}, {self.workers} worker{'s' if self.workers > 1 else ''}"


# The first is measured at every scale.
ENGINES = (
    Engine(name="processes", workers=2, act=product.year),
    Engine(name="processes", workers=1, act=partial(product.year, workers=1)),
    Engine(name="celery", workers=2, act=partial(product.year, engine="celery")),
)
