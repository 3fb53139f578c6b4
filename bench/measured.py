"""The cost of one subject of the bench. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The cost of one or more processes. A sampled subject has the estimated total, and a `note` that says so."""

    seconds: float = 0.0  # wall
    cpu: float = 0.0  # seconds of the client's processes, user and system
    server_cpu: float = 0.0  # seconds of PostgreSQL's
    peak: int = 0  # bytes of resident memory, of the largest client process
    wal: int = 0  # bytes
    figures: Mapping[str, float] = field(default_factory=dict)  # reported by the process itself
    note: str = ""
    error: str = ""  # the reason for missing figures

    def __add__(self, other: Measured) -> Measured:
        """Return the cost of both, one after the other."""
        return Measured(
            seconds=self.seconds + other.seconds,
            cpu=self.cpu + other.cpu,
            server_cpu=self.server_cpu + other.server_cpu,
            peak=max(self.peak, other.peak),
            wal=self.wal + other.wal,
            figures={**self.figures, **other.figures},
            note=self.note or other.note,
            error=self.error or other.error,
        )

    def with_note(self, note: str) -> Measured:
        """Return the same cost with a note on how it was measured."""
        return replace(self, note=note)


def total(parts: Iterable[Measured]) -> Measured:
    """Return the cost of all, one after the other."""
    return sum(parts, Measured())


def middle(tries: Iterable[Measured]) -> Measured:
    """Return the try with median wall time; of an even number, the slower of the middle two."""
    ordered = sorted(tries, key=lambda measured: measured.seconds)
    return ordered[len(ordered) // 2]


def scaled(measured: Measured, factor: float, note: str) -> Measured:
    """Return a sample's cost extrapolated to all; memory stays the same."""
    return replace(
        measured,
        seconds=measured.seconds * factor,
        cpu=measured.cpu * factor,
        server_cpu=measured.server_cpu * factor,
        wal=round(measured.wal * factor),
        note=note,
    )


def failed(reason: str) -> Measured:
    """Return a result without figures, and the reason."""
    return Measured(error=reason)
