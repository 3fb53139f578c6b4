"""What one subject of the bench cost; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Costs of one or more processes. A subject that was sampled says so in `note`, and tells the whole's seconds."""

    seconds: float = 0.0  # wall
    cpu: float = 0.0  # seconds of the client's processes, user and system
    server_cpu: float = 0.0  # seconds of PostgreSQL's
    peak: int = 0  # bytes of resident memory, of the largest client process
    wal: int = 0  # bytes
    figures: Mapping[str, float] = field(default_factory=dict)  # what the process itself told
    note: str = ""
    error: str = ""  # why there are no figures

    def __add__(self, other: Measured) -> Measured:
        """Both, one after the other."""
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
        """The same with a word on how it was measured."""
        return replace(self, note=note)


def total(parts: Iterable[Measured]) -> Measured:
    """All of them, one after the other."""
    return sum(parts, Measured())


def middle(tries: Iterable[Measured]) -> Measured:
    """Of several tries of the same the one of median wall time; of an even number the slower of the two."""
    ordered = sorted(tries, key=lambda measured: measured.seconds)
    return ordered[len(ordered) // 2]


def scaled(measured: Measured, factor: float, note: str) -> Measured:
    """A sample's cost for the whole; memory stays what it was."""
    return replace(
        measured,
        seconds=measured.seconds * factor,
        cpu=measured.cpu * factor,
        server_cpu=measured.server_cpu * factor,
        wal=round(measured.wal * factor),
        note=note,
    )


def failed(reason: str) -> Measured:
    """No figures, and why."""
    return Measured(error=reason)
