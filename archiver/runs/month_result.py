"""The result of archiving the past months of a shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from archiver.extract.month import NO_TENANT
from archiver.runs.each import Done
from errors import CutoverError
from inventory.keys import Key


@dataclass(kw_only=True)
class ShardMonths:
    """A shard, and what archiving its activity has done so far."""

    name: str
    archives: int = 0
    tenants: int = 0  # with deleted rows
    orphan_rows: int = 0  # rows deleted that belong to no tenant
    deleted: Counter[str] = field(default_factory=Counter)  # rows by member; pretended: rows to delete
    size: int = 0  # bytes
    held_back: Counter[str] = field(default_factory=Counter)  # by table: ended, and kept by rows below them
    changed: Counter[str] = field(default_factory=Counter)  # by member: rows that changed or were in use, and stay
    appeared: Counter[str] = field(default_factory=Counter)  # by table: rows added after verification, which stay live
    passed: int = 0  # tenants that are done, or skipped
    on_hold: int = 0  # tenants skipped: restored and not released, or partly moved
    stopped: bool = False  # before all was done
    errors: list[CutoverError] = field(default_factory=list)  # of parts that were skipped

    @property
    def done(self) -> Done[None]:
        """The rows and bytes that were archived, and the first error of a part."""
        return Done(
            rows=self.deleted.total(), size=self.size, detail=None, error=self.errors[0] if self.errors else None
        )

    def count(self, tenant_id: Key, rows: Mapping[str, int], stayed: Mapping[str, int]) -> None:
        """Add a slice: its rows by member, and how many of them stay live."""
        deleted = Counter(rows)
        deleted.subtract(stayed)
        self.deleted.update(deleted)
        self.changed.update(stayed)
        if tenant_id == NO_TENANT:
            self.orphan_rows += deleted.total()
        elif deleted.total():
            self.tenants += 1
