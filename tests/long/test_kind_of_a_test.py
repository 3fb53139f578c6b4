"""A kind of archive that only this test knows goes out and back, through every state, killed at each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver.catalog.model import MASTER, SHARD, Model, TableName, resolve
from archiver.checks.purge_tables import legacy_placement
from archiver.kinds.legacy_users import LegacyUsersKind
from archiver.kinds.tarball import prove_tarball
from archiver.postgres.databases import Databases
from archiver.postgres.selection import SelectedRows
from archiver.records import archives, purge_record
from archiver.records.archives import ArchiveRecord
from archiver.records.purge_record import Purge
from archiver.records.state import TRANSITIONS, Kind, State
from archiver.runs.context import Archiver
from archiver.runs.kind import ArchiveOfKind
from archiver.runs.pipeline import bring_back, take_out
from archiver.runs.purge import LegacyGroup, PurgeBooks
from archiver.runs.reencrypt import reencrypt
from archiver.runs.reverify import reverify
from errors import CutoverError
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Tenant
from tests import oracle
from tests.integration.test_encryption import Team, encrypting, holding
from tests.integration.test_purge import Killed, mortal
from tests.worlds import World, raise_failure, same, sql

__all__ = ["mortal"]  # a fixture
OLD, YEAR = datetime(2012, 1, 1, tzinfo=UTC), 2013
Mortal = Callable[[int | None], list[str]]

# The kind: settings of users, which leave by their ids. It has the life of a purge, and other rows.


@dataclass(frozen=True, kw_only=True)
class SettingsBooks(PurgeBooks):
    """The words for settings; no row refers to them."""

    operation: str = "Clearing"

    def describe(self, record: Purge) -> str:
        return f"{len(record.ids)} settings"

    def watch(self) -> None:  # type: ignore[override]
        return None

    def refuse(self, watch: object) -> None:
        pass

    def deleted(self, record: Purge, rows: Mapping[TableName, SelectedRows]) -> Purge:
        return purge_record.purged(self.databases.master, record)


class SettingsKind(LegacyUsersKind):
    """The settings as a kind."""

    def label(self, noun: str, record: ArchiveRecord) -> str:
        return f"settings {record.key}"

    def prove(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> int:
        return prove_tarball(archiver, record, settings_of(archiver.databases), work)


def settings_of(databases: Databases) -> Model:
    catalog = databases.model.catalog
    table = replace(catalog.databases[MASTER]["preferences"], found_by=(), needed_by=())
    tenant = Tenant(noun="purge", table="preferences", key="id", title="name")
    depths = {DEFAULT_DEPTH: DepthRule(start="preferences")}
    own = Catalog(tenant=tenant, databases={MASTER: {"preferences": table}}, depths=depths)
    return resolve(replace(own, excluded={SHARD: {}}, strays={SHARD: ()}))


# To here.


def group(archiver: Archiver, ids: tuple[int, ...]) -> LegacyGroup:
    model = settings_of(archiver.databases)
    return LegacyGroup(placement=legacy_placement(archiver.databases, model), model=model, ids=ids)


def out(world: World) -> None:
    with world.archiver() as archiver:
        rows = group(archiver, ids(world))
        take_out(archiver, rows, SettingsBooks(databases=archiver.databases, group=rows, before=OLD, year=YEAR))


def back(world: World, record: Purge) -> None:
    with world.archiver() as archiver:
        master = archiver.databases.master

        def ended() -> None:
            purge_record.restored(master, record)

        bring_back(archiver, group(archiver, record.ids), record, f"restoring settings {record.id}", ended)


def ids(world: World) -> tuple[int, ...]:
    with sql(world, MASTER) as cursor:
        cursor.execute("SELECT id FROM preferences ORDER BY id")
        return tuple(row[0] for row in cursor.fetchall())


def records(world: World) -> tuple[Purge, ...]:
    with world.archiver() as archiver:
        return purge_record.every(archiver.databases.master)


@pytest.fixture
def rich(world: World) -> Iterator[World]:
    with sql(world, MASTER) as cursor:
        cursor.execute(
            "INSERT INTO preferences (user_id, name, value, created_at, updated_at)"
            " SELECT id, 'theme', '\"dark\"', now(), now() FROM users ORDER BY id LIMIT 7"
        )
    yield world


def moments(said: list[str]) -> list[int]:
    """Before and after each state is written, before the COMMIT, and after it."""
    written = [at for at, act in enumerate(said) if "the state" in act or "settings" in act or "the users of" in act]
    return sorted({moment for at in written for moment in (at, at + 1)})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # who is killed closes no file
def test_it_goes_out_and_back_and_no_row_is_lost_wherever_it_is_killed(
    rich: World, mortal: Mortal, counted: Callable[[str, int], None]
) -> None:
    before, every = oracle.snapshot(rich.dsns), ids(rich)
    assert every
    out(rich)  # the first run makes the archiver's tables, and has more statements
    back(rich, records(rich)[-1])
    said = mortal(None)
    out(rich)
    going = moments(said)
    assert ids(rich) == ()
    mortal(None)
    back(rich, records(rich)[-1])
    coming = moments(said)
    same(before, oracle.snapshot(rich.dsns))
    seen = set[State]()

    for way, kills in ((out, going), (back, coming)):
        for at in kills:
            if way is back:
                out(rich)
            mortal(at)
            with suppress(Killed, CutoverError):
                out(rich) if way is out else back(rich, records(rich)[-1])
            mortal(None)
            last = records(rich)[-1]
            seen |= {last.state}
            assert ids(rich) == (() if last.state is State.ARCHIVED else every), (way, at)
            if last.state is not State.ARCHIVED and way is out:
                out(rich)
                last = records(rich)[-1]
            if last.state is State.ARCHIVED:
                back(rich, last)
            same(before, oracle.snapshot(rich.dsns))

    assert seen == {state for state in TRANSITIONS[Kind.PURGE] if state} | {State.RESTORED}
    counted("kills of a kind of a test", len(going) + len(coming))


def test_it_is_verified_and_reencrypted_by_its_kind(rich: World, tmp_path: Path) -> None:
    before, team = oracle.snapshot(rich.dsns), Team(tmp_path, "team")
    out(rich)
    with holding(encrypting(rich, team), team).archiver() as archiver:
        [record] = archives.of_kind(archiver.databases.master, Kind.PURGE)
        settings = ArchiveOfKind(kind=SettingsKind(), record=record)

        [moved] = reencrypt(archiver, [settings], raise_failure)
        [proved] = reverify(archiver, [moved.result().archive], raise_failure)

        assert settings.label("school") == "settings 1"
        assert proved.rows == record.rows > 0
        assert moved.result().superseded == record.location
    back(holding(encrypting(rich, team), team), records(rich)[-1])
    same(before, oracle.snapshot(rich.dsns))
