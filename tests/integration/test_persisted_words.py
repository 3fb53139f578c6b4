"""Every word that PostgreSQL keeps for the archiver, as it is written today; no line here asks the archiver for it.

One world lives through all there is: archived alone and together, restored in parts, month by month, moved, purged.
The words stand in texts and are derived from nothing: see tests/unit/test_persisted_words.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg2
import pytest

from archiver.catalog.model import Part
from archiver.kinds import registry
from archiver.postgres import own_schema
from archiver.postgres.session import DatabaseError, connect
from archiver.records import archive_record, resolve, slice_record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.move_record import Route
from archiver.reshard.merge_split import MoveOutcome, move_all
from archiver.runs import board, purge, reencrypt, reverify
from archiver.runs.purge_candidates import legacy_users
from archiver.runs.units import Unit, UnitResult
from archiver.runs.wire import Job
from archiver.store.bucket import Bucket
from runbooks.users import ids_of
from tests.integration.test_encryption import Team, encrypting
from tests.months import archive_months, restore_months
from tests.worlds import SHARDS, YEAR, NewWorld, World, drop, raise_failure, sql

COLUMNS = """
aliases: shard, lies_in, since, turn
archives: kind, id, key, year, shard, state, location, fingerprint, recipients, size, md5, sha256, etag, version_id,
 members, seconds_to_extract, seconds_to_restore, seconds_to_delete, operator, host, started_at, turn, verified_at,
 archived_at, proved_at, tenant_name, customer_id, customer_name, night, depth, kept, partial, snapshots, reason,
 before, ids, restored_at, restored_by, verb, target, offsets, switched_at
gone: record_id, table_name, ids, kind
guards: name, turn, tables
held: key, operator, host, since
ids: record_id, table_name, ids, kind, keys
kept: record_id, table_name, key, digest, archived_at
log: id, at, operator, host, act, key, year, record_id, details, before, sha256
markers: record_id, act, content, at, started_at
members: kind, archive_id, key, start, size, sha256, rows, went, stayed
month_slices_before_10: month_id, tenant_id, start, size, sha256, rows, went, stayed
months_before_10: id, month, year, before, shard, state, location, fingerprint, recipients, size, md5, sha256,
 seconds_to_restore, operator, host, started_at, verified_at, archived_at, proved_at, etag, version_id, turn
moves_before_10: id, tenant_id, year, verb, source, target, offsets, state, location, size, sha256, members, operator,
 host, started_at, switched_at, etag, version_id, turn
purges_before_10: id, year, before, ids, state, location, size, md5, sha256, recipients, members, operator, host,
 started_at, verified_at, purged_at, restored_at, restored_by, proved_at, etag, version_id
records_before_10: id, tenant_id, tenant_name, customer_id, customer_name, year, night, shard, depth, state, location,
 fingerprint, size, md5, sha256, members, kept, seconds_to_extract, seconds_to_restore, operator, host, started_at,
 verified_at, archived_at, recipients, proved_at, partial, seconds_to_delete, snapshots, etag, version_id, turn,
 reason
regions: source, target, above, upto, plus
shard_gone: record_id, started_at, table_name, column_name, ids, keys
units: run, number, unit, takes, worker, taken_at, ended, ended_at
version: one, number, tool, at
"""


def test_the_archivers_tables_and_columns_have_these_names(empty: str) -> None:
    with closing(connect(psycopg2.extensions.parse_dsn(empty), name="test")) as session:
        own_schema.prepare(session)
        rows = session.rows(
            "SELECT table_name, string_agg(column_name, ', ' ORDER BY ordinal_position)"
            " FROM information_schema.columns WHERE table_schema = 'archiver' GROUP BY table_name ORDER BY table_name"
        )

    expected = [line.split(": ") for line in COLUMNS.replace("\n ", " ").strip().splitlines()]
    assert [list(row) for row in rows] == expected


HELD = """
SELECT coalesce(array_agg(DISTINCT (l.classid::bigint << 32) | l.objid::bigint), '{}')
  FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
 WHERE l.locktype = 'advisory' AND l.granted
"""


def locked(world: World, database: str, *names: str) -> bool:
    """True if these advisory locks are held in a database, and no others."""
    with sql(world, database) as cursor:
        cursor.execute(HELD)
        [held] = cursor.fetchone() or ()
        cursor.execute("SELECT array_agg(hashtextextended(n, 0)) FROM unnest(%s::text[]) n", (list(names),))
        [wanted] = cursor.fetchone() or ()
    return set(held) == set(wanted or ())


def test_locks_have_these_names(world: World) -> None:
    unit = Unit(shard="shard_3", tenant_ids=(25,), request=ArchiveRequest(year=YEAR, depth="all"))
    with world.archiver() as ours, world.archiver() as worker:
        databases, master = ours.databases, ours.databases.master
        assert locked(world, "master")
        with databases.tenant_lock(13, "shard_3"):
            assert locked(world, "master", "cutover", "cutover school 13")
            assert locked(world, "shard_3", "cutover", "cutover school 13")
        with databases.monthly_lock("shard_3"):
            assert locked(world, "master", "cutover")
            assert locked(world, "shard_3", "cutover", "cutover activity")
        with databases.exclusive_lock(), board.living(master, "1f3a"):
            assert locked(world, "shard_1", "cutover")
            board.post(master, "1f3a", [Job(unit=unit, memory=1)])
            with board.taken(worker.databases.master, "1f3a", 1):
                assert locked(world, "master", "cutover", "cutover run 1f3a", "cutover workers", "cutover unit 1f3a 1")
                [seen] = board.unit_states(master, "1f3a", [1])
                assert seen.taken
                board.end(worker.databases.master, "1f3a", 1, UnitResult(unit=unit))
    with sql(world, "master") as cursor:
        cursor.execute("SELECT run, number, takes, unit, ended FROM archiver.units")
        assert cursor.fetchall() == [
            (
                *("1f3a", 1, 1),
                {
                    "shard": "shard_3",
                    "tenant_ids": [25],
                    "memory": 1,
                    "scope": "",
                    "order": {"year": 2013, "depth": "all", "night": None, "pretend": False, "until": None},
                },
                {"outcomes": [], "error": None},
            )
        ]


def test_a_session_that_makes_the_tables_waits_for_a_lock_of_this_name(empty: str) -> None:
    connection = psycopg2.extensions.parse_dsn(empty)
    with closing(connect(connection, name="one")) as one, closing(connect(connection, name="other")) as other:
        one.rows("SELECT pg_advisory_lock(hashtextextended('cutover prepare', 0))")
        other.execute("SET lock_timeout TO '50ms'")
        with pytest.raises(DatabaseError, match="lock timeout"):
            own_schema.prepare(other)


OLD = datetime(2012, 1, 1, tzinfo=UTC)  # who was not seen since is purged
MONTHS_DAY = date(2014, 9, 5)  # July and earlier go


@pytest.fixture(scope="module")
def lived(new_world: NewWorld, alike: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which everything has happened once."""
    team = Team(tmp_path_factory.mktemp("keys"), "team")
    with new_world(template=alike) as world:
        encrypted = replace(encrypting(world, team), identity=str(team.file))
        with world.archiver() as archiver:
            purge.purge(
                archiver, purge.group_of(archiver.databases, ids_of(legacy_users(archiver.databases, OLD))), OLD, 2013
            )
        archive_months(world, MONTHS_DAY)
        reencrypt_all(encrypted)
        restore_months(encrypted, *a_month(world))
        world.archive(13)
        encrypted.reencrypt(13)
        encrypted.restore(13, only=a_classroom(world))
        with encrypted.archiver() as archiver:
            record = resolve.one_to_restore(archiver.databases, 13, None)
            archive = registry.archive_of(archiver.databases.master, record.id)
            reverify.reverify(archiver, [archive], lambda outcome: None)
        encrypted.restore(13)
        world.archive_together(17, 29)
        with world.archiver() as archiver:
            drop(archiver, resolve.one_to_restore(archiver.databases, 17, None))
        merge(world)
        yield world


def reencrypt_all(encrypted: World) -> None:
    """Encrypt what is archived."""
    with encrypted.archiver() as archiver:
        reencrypt.reencrypt(archiver, registry.openable(archiver.databases.master, None), raise_failure)


def a_month(world: World) -> tuple[str, int]:
    """Return a month and a school that rows of it left, which is on hold from here on."""
    query = (
        "SELECT m.key::jsonb #>> '{}', s.key::bigint"
        "  FROM archiver.members s JOIN archiver.archives m ON (m.kind, m.id) = (s.kind, s.archive_id)"
    )
    [month, school], *_ = rows(
        world, "master", f"{query} WHERE s.key NOT IN ('0', '5', '13', '17', '29') ORDER BY 1 DESC"
    )
    return str(month), int(school)


def a_classroom(world: World) -> Part:
    """Return a classroom that school 13 had before it was archived."""
    query = "SELECT i.ids[1] FROM archiver.ids i JOIN archiver.archives a ON (a.kind, a.id) = (i.kind, i.record_id)"
    return Part("classroom", one(world, "master", f"{query} WHERE a.key = '13' AND table_name = 'classrooms'"))


def merge(world: World) -> None:
    """Move the one school of a shard into another, and read meanwhile the locks that exclude another merge."""
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_4' WHERE shard = 'shard_1' AND id <> 5")
    alone = []

    def on_result(outcome: MoveOutcome) -> None:
        raise_failure(outcome)
        alone.append(locked(world, "master", "cutover shards"))

    with world.archiver() as archiver:
        move_all(
            archiver, Route(verb="merge", source="shard_1", target="shard_2"), YEAR, on_result, kept_off=lambda: True
        )
    assert alone == [True]


def one(world: World, database: str, query: str) -> Any:
    """The one value of a query."""
    [row] = rows(world, database, query)
    return row[0]


def rows(world: World, database: str, query: str) -> list[tuple[Any, ...]]:
    with sql(world, database) as cursor:
        cursor.execute(query)
        return cursor.fetchall()


KEYS_OF = "SELECT DISTINCT jsonb_object_keys({}) FROM archiver.{} WHERE {}"


def keys(world: World, database: str, column: str, table: str, where: str = "true") -> set[str]:
    """The keys that objects in a column have."""
    return {row[0] for row in rows(world, database, KEYS_OF.format(column, table, where))}


ACTS = """
archive: deleted kept sha256
archive activity: month shard deleted kept sha256
drop: state location rows size md5 sha256 kept shard started_at
drop activity: month to rows sha256 location shard started_at
move: from to rows sha256
restore: tables lost sha256 location shard started_at
restore activity: month rows sha256 location shard started_at
restore part: part tables lost sha256
rewrap: from to recipients sha256
rewrap activity: month from to recipients sha256
verify: rows size sha256
"""


def test_the_log_names_these_acts_in_these_words(lived: World) -> None:
    acts = [row[0] for row in rows(lived, "master", 'SELECT DISTINCT act COLLATE "C" FROM archiver.log ORDER BY 1')]
    told = {act: keys(lived, "master", "details", "log", f"act = '{act}'") for act in acts}

    assert told == {act: set(words.split()) for act, words in (line.split(": ") for line in ACTS.strip().splitlines())}
    counts = keys(lived, "master", "value", "log, jsonb_each(details -> 'tables')", "act LIKE 'restore%'")
    assert counts == {"inserted", "there", "replaced", "differing"}


def test_markers_of_these_acts_lie_in_the_shards_with_these_words(lived: World) -> None:
    """A deletion that was cut off between shard and master is ended by them, by whichever version."""
    found = dict[str, set[str]]()
    for shard in SHARDS:
        for act, content in rows(lived, shard, "SELECT act, content FROM archiver.markers"):
            found.setdefault(re.sub(r"\d+", "7", act), set()).update(
                *([content] if "went" in act or "moved" in act or act == "deleted" else content.values())
            )

    assert found == {
        "deleted": {"found", "gone", "deleted", "staying", "location", "turn", "depth", "night"},
        "moved in": {"tenant", "verb", "source", "target", "offsets", "location", "turn"},
        "moved out": {"tenant", "verb", "source", "target", "offsets", "location", "turn"},
        "restored": {"inserted", "there", "replaced", "differing", "lost"},
        "restored classroom 7": {"inserted", "there", "replaced", "differing", "lost"},
        "slice 7 restored": {"inserted", "there", "replaced", "differing", "lost"},
        "slice 7 went": {"went", "stayed", "location", "turn"},
    }


def test_columns_that_hold_objects_hold_them_in_these_words(lived: World) -> None:
    member = {"rows", "bytes", "sha256"}
    for kind in ("tenant", "purge", "move"):
        assert keys(lived, "master", "value", "archives, jsonb_each(members)", f"kind = '{kind}'") == member
    tenants = ("archives", "kind = 'tenant'")
    assert keys(lived, "master", "snapshots", *tenants) == {"master", "shard"}
    assert {name.split("/")[0] for name in keys(lived, "master", "members", *tenants)} == {"master", "shard"}
    assert {name.rpartition(".")[2] for name in keys(lived, "master", "rows", "members")} == {"copy"}
    assert {name.rpartition(".")[2] for name in keys(lived, "master", "went", "members")} == {"copy"}
    [[moved]] = rows(lived, "master", "SELECT offsets FROM archiver.archives WHERE kind = 'move'")
    regions = rows(lived, "master", "SELECT above, upto, plus FROM archiver.regions ORDER BY above")
    assert moved == [list(region) for region in regions] != []


def test_rows_of_the_ledger_are_in_these_states(lived: World) -> None:
    assert rows(lived, "master", "SELECT DISTINCT kind, state FROM archiver.archives ORDER BY kind") == [
        *(("month", "archived"), ("move", "moved"), ("purge", "archived"), ("tenant", "archived")),
    ]
    assert rows(lived, "master", "SELECT DISTINCT depth FROM archiver.archives WHERE kind = 'tenant'") == [("all",)]
    assert rows(lived, "master", "SELECT verb, shard, target FROM archiver.archives WHERE kind = 'move'") == [
        ("merge", "shard_1", "shard_2")
    ]
    assert rows(lived, "master", "SELECT shard, lies_in FROM archiver.aliases") == [("shard_1", "shard_2")]


RECORD = """
id tenant_id tenant_name customer_id customer_name year night shard depth state location fingerprint size md5 sha256
etag version_id recipients members snapshots kept partial seconds_to_extract seconds_to_restore seconds_to_delete
operator host started_at turn verified_at archived_at proved_at reason
"""
MONTH = """
id month year before shard state location fingerprint recipients size md5 sha256 etag version_id seconds_to_restore
operator host started_at turn verified_at archived_at proved_at tenants rows
"""


def test_records_are_shown_in_these_words(lived: World) -> None:
    with lived.archiver() as archiver:
        master = archiver.databases.master
        [record] = archive_record.of_tenant(master, 29)
        told, [month, *_] = record.to_json(), slice_record.summaries(master)

    assert " ".join(told) == " ".join(RECORD.split())
    assert " ".join(month.to_json()) == " ".join(MONTH.split())
    assert set(next(iter(told["members"].values()))) == {"rows", "bytes", "sha256"}


PLACES = r"""
20\d\d/\d+/\d{8}T\d{6}-[0-9a-f]{8}/20\d\d_school_\d+\.tar\.gz(\.age)?
activity/20\d\d-\d\d/shard_\d/\d{8}T\d{6}-[0-9a-f]{8}/20\d\d-\d\d_shard_\d\.tar
purges/20\d\d/\d+/\d{8}T\d{6}-[0-9a-f]{8}/20\d\d_purge_\d+\.tar\.gz(\.age)?
schemas/[0-9a-f]{64}\.json
log/\d{12}-[0-9a-f]{64}
"""


def test_objects_lie_in_the_store_under_these_keys(lived: World) -> None:
    """Between them they are all there is, and of each there is one."""
    found = set(Bucket(lived.environment.store).keys())
    by_pattern = [{key for key in found if re.fullmatch(pattern, key)} for pattern in PLACES.split()]

    assert all(by_pattern)
    assert set().union(*by_pattern) == found
