"""The product's engines for a complete year, for `make bench-scaling`. Add a new one here, in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import product
from bench.measured import Measured
from bench.testbed import Testbed


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine with its number of workers."""

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
