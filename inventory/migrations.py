"""Migrations as written: what two schemas can't tell of the change between them; see `migrations/example.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DATABASES = ("master", "shard")


@dataclass(frozen=True, kw_only=True)
class TableChanges:
    """The changes of a table's columns."""

    rename: Mapping[str, str] = field(default_factory=dict)  # before: after
    drop: Mapping[str, str] = field(default_factory=dict)  # before: why it may be lost
    fill: Mapping[str, str] = field(default_factory=dict)  # after: SQL for what the archive lacks or has as NULL
    convert: Mapping[str, str] = field(default_factory=dict)  # after: SQL over the columns before, all of type text


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The changes of a database's tables."""

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
    after: str | None = None  # where the next migration begins; None: today's schema


def chain(migrations: Iterable[Migration], database: str, start: str, end: str) -> tuple[Migration, ...]:
    """Return the migrations that lead from one schema towards another, in order."""
    mine = [migration for migration in migrations if migration.database == database]
    steps: list[Migration] = []
    at: str | None = start
    while at is not None and not end.startswith(at):
        following = _begins(mine, at)
        if following is None:
            break
        steps.append(following)
        at = following.after
    return tuple(steps)


def database_mistakes(changes: Changes) -> list[str]:
    """Return the mistakes in one file that types alone do not show."""
    if changes.database in DATABASES:
        return []
    return [f"{changes.name}/database: expected one of {', '.join(DATABASES)}, got {changes.database!r}"]


def chain_mistakes(migrations: Sequence[Migration]) -> list[str]:
    """Return the mistakes between migrations: two that begin alike, or a cycle."""
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
    """Yield the cycle through a migration, once: for the first of its migrations by name."""
    at, names = first, [first.name]
    while at.after is not None:
        following = _begins([migration for migration in migrations if migration.database == first.database], at.after)
        if following is None or following.name in names[1:]:
            return
        if following is first:
            if first.name == min(names):
                yield f"{first.name}/after: expected no cycle, got one through {', '.join(names)}"
            return
        names.append(following.name)
        at = following


def _begins(migrations: Iterable[Migration], fingerprint: str) -> Migration | None:
    """Return the migration that begins at a fingerprint; either may be cut short."""
    return next(
        (
            migration
            for migration in migrations
            if fingerprint.startswith(migration.before) or migration.before.startswith(fingerprint)
        ),
        None,
    )
