"""What became of a shard's past months."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from archiver.extract.month import NO_TENANT
from errors import CutoverError


@dataclass(kw_only=True)
class Shard:
    """What became of a shard's activity."""

    name: str
    archives: int = 0
    tenants: int = 0  # whose rows went
    orphan_rows: int = 0  # rows that went and were no tenant's
    deleted: Counter[str] = field(default_factory=Counter)  # rows by member; pretended: what would go
    size: int = 0  # bytes
    held_back: Counter[str] = field(default_factory=Counter)  # by table: ended, and stay because of rows below them
    changed: Counter[str] = field(default_factory=Counter)  # by member: changed or in use meanwhile, and stay
    appeared: Counter[str] = field(default_factory=Counter)  # by table: came after the proof, and stay live
    on_hold: int = 0  # tenants that were left alone: restored and not released, or half moved
    seconds: float = 0.0
    stopped: bool = False  # before all was done
    errors: list[CutoverError] = field(default_factory=list)

    @property
    def error(self) -> CutoverError | None:
        """The first that went wrong."""
        return self.errors[0] if self.errors else None

    def count(self, tenant_id: int, rows: Mapping[str, int], stayed: Mapping[str, int]) -> None:
        """Counts a slice: its rows by member, and how many of them stay live."""
        went = Counter(rows)
        went.subtract(stayed)
        self.deleted.update(went)
        self.changed.update(stayed)
        if tenant_id == NO_TENANT:
            self.orphan_rows += went.total()
        elif went.total():
            self.tenants += 1
