"""Migrations as written: what two schemas cannot tell of the way from one to the other; `migrations/example.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DATABASES = ("master", "shard")


@dataclass(frozen=True, kw_only=True)
class TableChanges:
    """What became of a table's columns."""

    rename: Mapping[str, str] = field(default_factory=dict)  # before: after
    drop: Mapping[str, str] = field(default_factory=dict)  # before: why it may be lost
    fill: Mapping[str, str] = field(default_factory=dict)  # after: SQL for what the archive lacks, or where it is NULL
    convert: Mapping[str, str] = field(default_factory=dict)  # after: SQL over the columns before, which are text


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What became of a database's tables."""

    database: str  # master or shard
    name: str = ""  # of its file
    rename_tables: Mapping[str, str] = field(default_factory=dict)  # before: after
    drop_tables: Mapping[str, str] = field(default_factory=dict)  # before: why it may be lost
    tables: Mapping[str, TableChanges] = field(default_factory=dict)  # by the name after
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # enum type before: label before: after


@dataclass(frozen=True, kw_only=True)
class Migration(Changes):
    """Changes between two schemas, known by the first digits of their fingerprints."""

    before: str
    after: str | None = None  # where the next migration begins; none: today's


def chain(migrations: Iterable[Migration], database: str, start: str, end: str) -> tuple[Migration, ...]:
    """The migrations that lead from one schema towards another, in their order."""
    mine = [migration for migration in migrations if migration.database == database]
    found: list[Migration] = []
    at: str | None = start
    while at is not None and not end.startswith(at):
        following = _begins(mine, at)
        if following is None:
            break
        found.append(following)
        at = following.after
    return tuple(found)


def database_mistakes(changes: Changes) -> list[str]:
    """What types alone do not show in one file."""
    if changes.database in DATABASES:
        return []
    return [f"{changes.name}/database: expected one of {', '.join(DATABASES)}, got {changes.database!r}"]


def chain_mistakes(migrations: Sequence[Migration]) -> list[str]:
    """What does not hold between migrations: two that begin alike, or a way that leads back."""
    mistakes = [mistake for migration in migrations for mistake in (*database_mistakes(migration), *_digits(migration))]
    for number, migration in enumerate(migrations):
        mine = [other for other in migrations[:number] if other.database == migration.database]
        twin = _begins(mine, migration.before)
        if twin is not None:
            mistakes.append(f"{migration.name}/before: expected another fingerprint than {twin.name} has")
    return mistakes or [mistake for migration in migrations for mistake in _cycle(migrations, migration)]


def _digits(migration: Migration) -> Iterable[str]:
    for key, value in (("before", migration.before), ("after", migration.after)):
        if value is not None and not re.fullmatch(r"[0-9a-f]{12,64}", value):
            yield f"{migration.name}/{key}: expected 12 or more digits of a fingerprint, got {value!r}"


def _cycle(migrations: Sequence[Migration], first: Migration) -> Iterable[str]:
    """Said once, of the migration by whose name the cycle is found first."""
    at, names = first, [first.name]
    while at.after is not None:
        following = _begins([one for one in migrations if one.database == first.database], at.after)
        if following is None or following.name in names[1:]:
            return
        if following is first:
            if first.name == min(names):
                yield f"{first.name}/after: expected no cycle, got one through {', '.join(names)}"
            return
        names.append(following.name)
        at = following


def _begins(migrations: Iterable[Migration], fingerprint: str) -> Migration | None:
    """The migration that begins at a fingerprint; either may be cut short."""
    return next(
        (one for one in migrations if fingerprint.startswith(one.before) or one.before.startswith(fingerprint)), None
    )
