"""Legacy users leave master only when archived, verified and referenced by no row, and come back as they were."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.postgres.session import Session
from archiver.records import purge_record
from archiver.records.purge_record import Purge
from archiver.records.state import State
from archiver.runs import purge, setup
from archiver.runs.purge_candidates import legacy_users
from archiver.store.bucket import Bucket, Digests, StoredDigests, file_digests
from errors import CutoverError, DamagedError, ExitCode, RefusedError, UsageError
from runbooks.cli import call
from tests import oracle
from tests.inside import Said, inv_inside
from tests.integration.test_encryption import Team, encrypting
from tests.legacy_users import BEFORE, OLD, purged
from tests.worlds import World, sql

THEIRS = {
    "users": f"id IN ({OLD})",
    "preferences": f"user_id IN ({OLD})",
    "user_opted_in_rollup_reports": f"user_id IN ({OLD})",
}
DAMAGED = b"nothing but zeros"


def run(world: World, statements: str, database: str = "master") -> None:
    with sql(world, database) as cursor:
        cursor.execute(statements)


def old(world: World) -> list[int]:
    with sql(world, "master") as cursor:
        cursor.execute(f"{OLD} ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def records(world: World) -> list[Purge]:
    with setup.databases_of(world.environment, "test") as place:
        return list(purge_record.every(place.master))


@pytest.fixture
def rich(world: World) -> World:
    """Return a world whose seeded legacy users have rows of their own."""
    run(
        world,
        "INSERT INTO preferences (user_id, name, value, created_at, updated_at)"
        f" SELECT id, 'theme', '\"dark\"', now(), now() FROM users WHERE id IN ({OLD});"
        "INSERT INTO user_opted_in_rollup_reports (user_id, rollup_report_id)"
        f" SELECT id, 1 FROM users WHERE id IN ({OLD})",
    )
    return world


def test_legacy_users_go_with_all_their_rows_and_come_back_as_they_were(rich: World) -> None:
    before = oracle.snapshot(rich.dsns)
    leaving = oracle.rows_where(rich.dsns["master"], THEIRS, {})
    assert len(old(rich)) == 3

    with rich.archiver() as archiver:
        done = purged(archiver)

        after = oracle.snapshot(rich.dsns)
        assert oracle.difference(oracle.together(after, {"master": leaving}), before) == ""
        assert old(rich) == []
        assert (done.late, done.purge.state, done.purge.rows) == (
            {},
            State.ARCHIVED,
            sum(map(len, leaving.values())),
        )
        assert done.purge.location.endswith(f"/2013_purge_{done.purge.id}.tar.gz")

        assert purge.restore(archiver, done.purge.id)["master.users"].inserted == 3
        assert oracle.difference(before, oracle.snapshot(rich.dsns)) == ""
        with pytest.raises(UsageError, match="is restored: there are no users to restore"):
            purge.restore(archiver, done.purge.id)


NAMED = {
    "by a join table": "INSERT INTO district_administrators (district_id, user_id) SELECT min(id), {id} FROM districts",
    "by a column's name": "INSERT INTO feed_item_interactions (feed_item_id, user_id) VALUES (1, {id})",
    "by a type": "INSERT INTO taggings (taggable_type, taggable_id) VALUES ('User', {id})",
    "by a foreign key that would take rows along": (
        "CREATE SCHEMA other; CREATE TABLE other.badges (owner integer REFERENCES public.users ON DELETE CASCADE);"
        "INSERT INTO other.badges VALUES ({id})"
    ),
    "by what names a row of theirs": (
        "CREATE TABLE themes (preference_id bigint);"
        "INSERT INTO themes SELECT id FROM preferences WHERE user_id = {id} LIMIT 1"
    ),
    "by a list of ids": (
        "CREATE TABLE committees (user_ids bigint[]); INSERT INTO committees VALUES (ARRAY[{id}, NULL])"
    ),
    "by a prefixed name in another schema": (
        'CREATE SCHEMA crm; CREATE TABLE crm.notes ("ownerUserId" bigint); INSERT INTO crm.notes VALUES ({id})'
    ),
    "by a shard's table": "CREATE TABLE mails (user_id bigint); INSERT INTO mails VALUES ({id})",
}


@pytest.mark.parametrize("case", NAMED)
def test_a_user_that_a_live_row_references_is_kept_and_the_others_are_deleted(rich: World, case: str) -> None:
    first, *others = old(rich)
    run(rich, NAMED[case].format(id=first), "shard_2" if "shard" in case else "master")

    with rich.archiver() as archiver:
        [named] = [person for person in legacy_users(archiver.databases, BEFORE) if person.referenced_by]
        assert named.id == first
        assert list(purged(archiver).purge.ids) == others

    assert old(rich) == [first]


def test_a_user_seen_since_the_date_is_kept(rich: World) -> None:
    first, second, third = old(rich)
    run(rich, f"UPDATE users SET last_sign_in_at = now() WHERE id = {first}")
    run(rich, f"UPDATE users SET last_sign_in_at = NULL, created_at = '2013-01-01' WHERE id = {second}")

    with setup.databases_of(rich.environment, "test") as place:
        assert [person.id for person in legacy_users(place, BEFORE)] == [third]


def between(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Do something when the archive is verified and nothing is deleted."""
    verified = purge_record.verified

    def then(session: Session, one: Purge) -> Purge:
        happens()
        return verified(session, one)

    monkeypatch.setattr(purge_record, "verified", then)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE users SET first_name = 'Ann' WHERE id = {id}", "rows of master.users changed"),
        ("DELETE FROM preferences WHERE user_id = {id}", "rows of master.preferences changed"),
        ("INSERT INTO taggings (taggable_type, taggable_id) VALUES ('User', {id})", "users are referenced by now"),
    ],
)
def test_a_row_that_changed_since_it_was_archived_keeps_all_users(
    rich: World, monkeypatch: pytest.MonkeyPatch, change: str, why: str
) -> None:
    all_users = old(rich)
    between(monkeypatch, lambda: run(rich, change.format(id=all_users[0])))

    with rich.archiver() as archiver, pytest.raises(RefusedError, match=why):
        purged(archiver)

    assert old(rich) == all_users
    assert [one.state for one in records(rich)] == [State.VERIFIED]


def test_an_object_that_the_store_damages_keeps_all_users(rich: World, monkeypatch: pytest.MonkeyPatch) -> None:
    all_users, put = old(rich), Bucket.put

    def spoiling(bucket: Bucket, key: str, path: Path, digests: Digests) -> StoredDigests:
        path.write_bytes(DAMAGED)
        answer = put(bucket, key, path, file_digests(path))
        return StoredDigests(**vars(digests), etag=answer.etag, version_id=answer.version_id)

    monkeypatch.setattr(Bucket, "put", spoiling)
    with rich.archiver() as archiver, pytest.raises(DamagedError):
        purged(archiver)
    assert old(rich) == all_users


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], list[str]]]:
    """Kill the process before its n-th statement on any session; the list has the statements so far."""
    real, said, limit = Session._translated, list[str](), list[int | None]([None])

    def translated(session: Session, doing: str) -> object:
        if limit[0] is not None and len(said) == limit[0]:
            session._link.close()
            raise Killed
        said.append(doing)
        return real(session, doing)

    def begin(at: int | None) -> list[str]:
        said.clear()
        limit[0] = at
        return said

    monkeypatch.setattr(Session, "_translated", translated)
    yield begin
    limit[0] = None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # who is killed closes no file
def test_no_user_is_lost_when_a_purge_is_killed_at_any_statement_and_run_again(
    rich: World, mortal: Callable[[int | None], list[str]], counted: Callable[[str, int], None]
) -> None:
    before = oracle.snapshot(rich.dsns)
    with rich.archiver() as archiver:
        said = mortal(None)
        number = purged(archiver).purge.id
        end = said.index(f"deleting the users of purge {number}")
        mortal(None)
        purge.restore(archiver, number)
    kills = [*random.Random(2014).sample(range(end), 3), end, end + 1]  # the last two before and after COMMIT

    for at in kills:
        with suppress(Killed, CutoverError), rich.archiver() as archiver:
            mortal(at)
            purged(archiver)
        mortal(None)
        gone = [one for one in records(rich) if one.state is State.ARCHIVED]
        assert (old(rich) == []) == bool(gone), at
        with rich.archiver() as archiver:
            for one in gone or [purged(archiver).purge]:
                purge.restore(archiver, one.id)
        assert oracle.difference(before, oracle.snapshot(rich.dsns)) == "", at
    counted("kills of a purge", len(kills))


def test_an_encrypted_purge_comes_back_with_an_identity(rich: World, tmp_path: Path) -> None:
    team, before = Team(tmp_path, "team"), oracle.snapshot(rich.dsns)
    with encrypting(rich, team).archiver() as archiver:
        number = purged(archiver).purge.id

    with encrypting(rich, team).archiver() as archiver, pytest.raises(UsageError):
        purge.restore(archiver, number)
    with replace(encrypting(rich, team), identity=str(team.file)).archiver() as archiver:
        purge.restore(archiver, number)

    assert oracle.difference(before, oracle.snapshot(rich.dsns)) == ""


@pytest.fixture
def inv(rich: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`inv` on this machine where these are the databases."""
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: rich.environment)
    return lambda *words: inv_inside(capsys, *words)


def test_the_tasks_show_purge_list_and_restore(rich: World, inv: Callable[..., Said]) -> None:
    before = oracle.snapshot(rich.dsns)

    shown = inv("users.purge-legacy", "--before=2012-01-01", "--dry-run", "--here")
    assert (shown.code, oracle.snapshot(rich.dsns)) == (0, before)
    assert shown.out.splitlines()[-1].startswith("3 of 3 would be purged: users 3, ")
    assert inv("users.purges").out == "There was no purge yet.\n"

    gone = inv("users.purge-legacy", "--before=2012-01-01", "--here")
    assert (gone.code, gone.err) == (0, "")
    assert "purge 1: 3 users purged, " in gone.out
    assert "No legacy users" in inv("users.purge-legacy", "--before=2012-01-01", "--here").out
    assert ": archived, 3 users not seen since 2012-01-01" in inv("users.purges").out
    held = inv("archive.find", "user", "1").out
    assert (held.startswith("purge 1 of "), "No archive" in held) == (True, False)

    assert inv("users.restore-legacy", "1", "--here").out.startswith("purge 1: restored, ")
    assert oracle.difference(before, oracle.snapshot(rich.dsns)) == ""
    assert inv("users.restore-legacy", "2", "--here").code == ExitCode.USAGE
    assert inv("users.purge-legacy", "--here").code == ExitCode.USAGE
