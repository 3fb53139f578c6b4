"""Kinds of doubtful live rows, and findings; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from archiver.catalog.model import TableName


class IntegrityKind(Enum):
    """A kind of doubtful row."""

    SEVERAL_WAYS = "several ways"  # found by several tables: a user who administers and teaches
    SEVERAL_TENANTS = "several tenants"  # belongs to more than one tenant
    SEVERAL_OWNERS = "several owners"  # refers to more than one owner: a donation of a school and a student
    DANGLING = "dangling"  # refers to a missing row
    DANGLING_ACROSS = "dangling across"  # refers to a missing row of the other database
    WRONG_SHARD = "wrong shard"  # is on another shard than its tenant
    UNKNOWN_SHARD = "unknown shard"  # a tenant on a shard that the inventory does not have


@dataclass(frozen=True, kw_only=True)
class IntegrityFinding:
    """Rows of one table that are doubtful for one reason."""

    kind: IntegrityKind
    database: str  # by the inventory's name; of several shards together: shard
    table: TableName
    what: str  # what is doubtful, behind the number of rows: "name a school that is gone"
    rows: int
    examples: tuple[str, ...]  # some of their keys
    refused: str = ""  # why the archiver refuses such rows; empty: it archives them nevertheless

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "kind": self.kind.value,
            "database": self.database,
            "table": self.table.table,
            "what": self.what,
            "rows": self.rows,
            "examples": list(self.examples),
            "refused": self.refused or None,
        }


def refused(findings: Sequence[IntegrityFinding]) -> list[IntegrityFinding]:
    """Return the findings that the archiver refuses."""
    return [finding for finding in findings if finding.refused]
