"""Schools archived to age public keys, on real servers: identities that open them, and those that do not."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import cycle
from pathlib import Path
from random import Random

import pyrage
import pytest
from pyrage import x25519

from archiver.catalog.model import Part
from archiver.checks.unreferenced import unreferenced_objects
from archiver.format import encryption
from archiver.format.encryption import Keys
from archiver.kinds import registry
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.records.state import State
from archiver.runs import inspect, purge, reencrypt, reverify
from archiver.runs.context import fetch
from archiver.runs.purge_candidates import legacy_users
from archiver.store.bucket import Bucket
from errors import CutoverError, DamagedError, ExitCode, RefusedError, UsageError
from inventory.catalog import DEFAULT_DEPTH
from runbooks.cli.text import archives
from tests import oracle
from tests.killed import before_master_commits
from tests.months import archive_months, restore_months
from tests.torture.runs import Act, run
from tests.worlds import World, raise_failure, same, sql

SCHOOL = 13
MONTHS_DAY = date(2014, 9, 5)  # July and earlier go
OLD = datetime(2012, 1, 1, tzinfo=UTC)  # who was not seen since
PLACES = 40
KILLS = 4
WORDS = archives.reencrypt_words("school")


class Team:
    """A team with an age key pair, whose identity lies in a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self.identity = x25519.Identity.generate()
        self.recipient = str(self.identity.to_public())
        self.file = folder / name
        self.file.write_text(f"# public key: {self.recipient}\n{self.identity}\n")

    def opens(self, data: bytes) -> bool:
        """True if age opens it with this identity, without any code of ours."""
        try:
            pyrage.decrypt(data, [self.identity])
        except pyrage.DecryptError:
            return False
        return True


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """Return the team that may open the archives."""
    return Team(tmp_path, "team")


@pytest.fixture
def other(tmp_path: Path) -> Team:
    """Return a team that may not open them, or not yet."""
    return Team(tmp_path, "other")


def encrypting(world: World, *teams: Team) -> World:
    """Return the world with these recipients and without an identity."""
    store = replace(world.environment.store, recipients=tuple(team.recipient for team in teams))
    return replace(world, environment=replace(world.environment, store=store))


def holding(world: World, team: Team) -> World:
    """The world with the team's identity at hand."""
    return replace(world, identity=str(team.file))


def recorded(world: World, school: int = SCHOOL) -> Record:
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, school)
        return record


def stored(world: World, record: Record) -> bytes:
    bucket, store = Bucket(world.environment.store), world.environment.store
    key = f"{store.prefix}/{bucket.key(record.location)}"
    return bucket._client.get_object(Bucket=store.bucket, Key=key)["Body"].read()


def logged(world: World) -> list[str]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT act FROM archiver.log ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def test_a_school_goes_out_without_a_secret_and_comes_back_with_its_identity(
    world: World, team: Team, other: Team
) -> None:
    before, expected = oracle.snapshot(world.dsns), oracle.expected_after_archive(world.dsns, SCHOOL, "all")
    encrypted = encrypting(world, team)

    encrypted.archive(SCHOOL)

    record, data = recorded(world), stored(world, recorded(world))
    same(expected, oracle.snapshot(world.dsns))
    assert record.location.endswith(f"/2013_school_{SCHOOL}.tar.gz.age")
    assert (record.recipients, record.size) == ((team.recipient,), len(data))
    assert not other.opens(data)
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(data)
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(data, [team.identity])), mode="r:gz") as tar:
        assert "master/students.copy" in tar.getnames()
    holding(encrypted, team).restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))


def test_one_classroom_of_an_encrypted_archive_comes_back_and_then_the_rest(world: World, team: Team) -> None:
    before, encrypted = oracle.snapshot(world.dsns), encrypting(world, team)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT min(id) FROM classrooms WHERE school_id = %s", (SCHOOL,))
        [[classroom]] = cursor.fetchall()
    encrypted.archive(SCHOOL)

    holding(encrypted, team).restore(SCHOOL, only=Part("classroom", classroom))

    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s", (SCHOOL,))
        assert cursor.fetchall() == [(classroom,)]
    holding(encrypted, team).restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))


def test_pretending_encrypts_too_and_leaves_no_trace(world: World, team: Team) -> None:
    before = oracle.snapshot(world.dsns)

    [outcome] = encrypting(world, team).archive(SCHOOL, pretend=True)

    assert outcome.rows
    same(before, oracle.snapshot(world.dsns))


def test_without_its_identity_a_school_stays_archived(world: World, team: Team, other: Team) -> None:
    encrypted = encrypting(world, team)
    encrypted.archive(SCHOOL)
    out = oracle.snapshot(world.dsns)

    for closed, words in (
        (
            encrypted,
            r"^s3://.*/2013_school_13\.tar\.gz\.age is encrypted, and no identity was given\.",
        ),  # before a fetch
        (holding(encrypted, other), r"^The identity does not open 2013_school_13\.tar\.gz\.age"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            closed.restore(SCHOOL)
        assert caught.value.exit_code is ExitCode.USAGE
        assert "AGE-SECRET-KEY" not in str(caught.value)

    same(out, oracle.snapshot(world.dsns))
    assert recorded(world).state is State.ARCHIVED


def test_invalid_keys_are_refused_before_anything_is_touched(world: World, team: Team) -> None:
    encrypted = encrypting(world, team)
    mistyped = replace(encrypted.environment.store, recipients=(team.recipient[:-6] + "qqqqqq",))

    with pytest.raises(UsageError, match="store/recipients/1 is not an age public key"):
        replace(encrypted, environment=replace(encrypted.environment, store=mistyped)).archive(SCHOOL)
    team.file.write_text("nothing of the kind\n")
    with pytest.raises(UsageError, match="team holds a line that is not an age identity"):
        holding(encrypted, team).archive(SCHOOL)

    with sql(world, "master") as cursor:
        cursor.execute("SELECT to_regclass('archiver.archives')")
        assert cursor.fetchall() == [(None,)]


def cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archive the school, killed after the shard was emptied."""
    with before_master_commits(monkeypatch), pytest.raises(CutoverError, match="killed"):
        world.archive(SCHOOL)


def test_an_interrupted_deletion_is_finished_without_an_identity(
    world: World, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted, expected = encrypting(world, team), oracle.expected_after_archive(world.dsns, SCHOOL, "all")
    cut_off(encrypted, monkeypatch)

    encrypted.archive(SCHOOL)

    same(expected, oracle.snapshot(world.dsns))
    assert recorded(world).state is State.ARCHIVED


def test_only_rows_that_must_be_put_back_ask_for_an_identity(
    world: World, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted, whole = encrypting(world, team), oracle.snapshot(world.dsns)
    cut_off(encrypted, monkeypatch)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE classrooms SET name = 'changed' WHERE school_id = %s", (SCHOOL,))
    emptied = oracle.snapshot(world.dsns)

    with pytest.raises(
        UsageError, match=r"rows must be put back from the archive\. .* no identity was given"
    ) as caught:
        encrypted.archive(SCHOOL)
    assert "--identity=FILE" in caught.value.hint
    same(emptied, oracle.snapshot(world.dsns))
    assert recorded(world).state is State.DELETING

    with pytest.raises(RefusedError, match="its rows were put back from the archive"):
        holding(encrypted, team).archive(SCHOOL)
    back = oracle.snapshot(world.dsns)
    assert {name: back.tables[name] for name in back.tables if name != "master"} == {
        name: whole.tables[name] for name in whole.tables if name != "master"
    }


def test_a_flipped_bit_anywhere_in_the_stored_object_is_refused(world: World, team: Team, tmp_path: Path) -> None:
    encrypted = holding(encrypting(world, team), team)
    encrypted.archive(SCHOOL)
    record, out = recorded(world), oracle.snapshot(world.dsns)
    data, store = stored(world, record), world.environment.store

    with encrypted.archiver() as archiver:
        key = archiver.bucket.key(record.location)
        for place in range(0, len(data), len(data) // PLACES):
            bad = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            archiver.bucket._client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}", Body=bad)
            with pytest.raises(DamagedError, match="is not what was stored"):
                fetch(archiver.bucket, record, tmp_path / "fetched")
    with pytest.raises(DamagedError, match="is not what was stored"):
        encrypted.restore(SCHOOL)

    same(out, oracle.snapshot(world.dsns))
    assert recorded(world).state is State.ARCHIVED


def test_after_a_reencryption_the_new_identity_opens_the_record_and_the_old_one_does_not(
    world: World, team: Team, other: Team
) -> None:
    before = oracle.snapshot(world.dsns)
    encrypting(world, team).archive(SCHOOL)
    earlier, now = recorded(world), encrypting(world, other)
    plain = pyrage.decrypt(stored(world, earlier), [team.identity])

    [outcome] = holding(now, team).reencrypt(SCHOOL)

    record = recorded(world)
    assert (outcome.result().archive.record.location, outcome.result().superseded) == (
        record.location,
        earlier.location,
    )
    assert record.location != earlier.location
    assert record.recipients == (other.recipient,)
    assert not team.opens(stored(world, record))
    assert pyrage.decrypt(stored(world, record), [other.identity]) == plain
    assert team.opens(stored(world, earlier))  # the old object stays
    assert logged(world) == ["archive", "rewrap"]
    with pytest.raises(UsageError, match="The identity does not open"):
        holding(now, team).restore(SCHOOL)
    holding(now, other).restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))


def test_a_reencryption_encrypts_a_plain_archive_and_does_nothing_twice(world: World, team: Team) -> None:
    before = oracle.snapshot(world.dsns)
    world.archive(SCHOOL)
    encrypted = encrypting(world, team)

    plain = recorded(world)
    [moved], [again] = encrypted.reencrypt(SCHOOL), encrypted.reencrypt(SCHOOL)

    assert recorded(world).location.endswith(".tar.gz.age")
    assert (moved.result().superseded, again.result().superseded, again.result().archive.record.location) == (
        plain.location,
        "",
        recorded(world).location,
    )
    assert f"the earlier object stays in the store: {plain.location}" in WORDS.line(moved)
    assert WORDS.line(again) == "school 13 of 2013: encrypted to these recipients already"
    assert "1 of 2 archives re-encrypted, 1 were already" in WORDS.summary([moved, again])
    assert logged(world) == ["archive", "rewrap"]
    holding(encrypted, team).restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))


def test_past_months_and_purges_are_reencrypted_with_all_schools(world: World, team: Team, other: Team) -> None:
    before, first = oracle.snapshot(world.dsns), encrypting(world, team)
    archive_months(first, MONTHS_DAY)
    purged(first)
    first.archive(SCHOOL)
    with encrypting(world, other).archiver() as archiver, pytest.raises(UsageError, match="no identity was given"):
        reencrypt.reencrypt(archiver, registry.openable(archiver.databases.master, None)[1:], raise_failure)

    now = encrypting(world, other)
    with holding(now, team).archiver() as archiver:
        found = registry.openable(archiver.databases.master, None)
        outcomes = reencrypt.reencrypt(archiver, found, raise_failure)
        assert all(outcome.result().superseded for outcome in outcomes)
        again = reencrypt.reencrypt(archiver, registry.openable(archiver.databases.master, None), raise_failure)
        left = {orphan.location for orphan in unreferenced_objects(archiver.bucket, archiver.databases)}

    assert left == {
        outcome.result().superseded for outcome in outcomes
    }  # what the old identity opens can be found, and deleted
    said = [WORDS.line(outcome) for outcome in again]
    assert [line.partition(":")[0] for line in said[:2]] == ["school 13 of 2013", "activity of 2014-07, shard_1"]
    assert said[-1] == "purge 1 of 2013: encrypted to these recipients already"
    assert WORDS.summary(again) == f"0 of {len(found)} archives re-encrypted, {len(found)} were already"
    assert {"rewrap", "rewrap activity"} < {*logged(world)}
    with holding(now, other).archiver() as archiver:
        wanted = reverify.longest_unverified(registry.openable(archiver.databases.master, 2013), None)
        proved = reverify.reverify(archiver, wanted, lambda _: None)
        assert [one.error for one in proved] == [None] * len(outcomes)
        assert "purge 1 of 2013: verified" in archives.reverify_words("school").line(proved[-2])
        assert (
            reverify.longest_unverified(registry.openable(archiver.databases.master, None), 1)[0].record.location
            == wanted[0].record.location
        )
        purge.restore(archiver, 1)
    holding(now, other).restore(SCHOOL)
    restore_months(holding(now, other), "2014-07")
    same(before, oracle.snapshot(world.dsns))


def purged(world: World) -> None:
    with world.archiver() as archiver:
        group = purge.group_of(
            archiver.databases, [one.id for one in legacy_users(archiver.databases, OLD) if not one.referenced_by]
        )
        purge.purge(archiver, group, OLD, 2013)


def test_an_archive_that_cannot_be_reencrypted_is_reported_and_stays(
    world: World, team: Team, other: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted = encrypting(world, team)
    cut_off(encrypted, monkeypatch)
    with holding(encrypting(world, other), team).archiver() as archiver:
        found = registry.openable(archiver.databases.master, None)
        [outcome] = reencrypt.reencrypt(archiver, found, lambda _: None)
    assert "school 13 of 2013 refused: it is deleting, by a run that was interrupted." in str(outcome.error)

    encrypted.archive(SCHOOL)
    record = recorded(world)
    for closed, words in (
        (world, "The inventory has no recipients"),
        (encrypting(world, other), "no identity was given"),
        (holding(encrypting(world, other), other), "The identity does not open"),
    ):
        with pytest.raises(UsageError, match=words):
            closed.reencrypt(SCHOOL)
    assert recorded(world) == record


def test_an_object_with_other_bytes_moves_no_record(
    world: World, team: Team, other: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypting(world, team).archive(SCHOOL)
    record = recorded(world)

    def careless(path: Path, keys: Keys) -> Path:
        path.write_bytes(path.read_bytes() + b"more")
        return encrypt(path, keys)

    encrypt = encryption.encrypt
    monkeypatch.setattr(encryption, "encrypt", careless)
    with pytest.raises(DamagedError, match="The record stays as it is"):
        holding(encrypting(world, other), team).reencrypt(SCHOOL)

    assert recorded(world) == record


def test_a_reencryption_killed_at_any_instant_and_run_again_ends_right(world: World, team: Team, other: Team) -> None:
    holder = Team(team.file.parent, "both")
    holder.file.write_text(f"{team.identity}\n{other.identity}\n")
    encrypting(world, team).archive(SCHOOL)
    plain = pyrage.decrypt(stored(world, recorded(world)), [team.identity])
    act = Act(verb="reencrypt", school=SCHOOL, depth=DEFAULT_DEPTH)
    moments = run(holding(encrypting(world, other), holder), act).moments

    for target, number in zip(cycle([team, other]), Random(SCHOOL).sample(range(len(moments)), KILLS), strict=False):
        goal = holding(encrypting(world, target), holder)
        assert run(goal, act, die_at=number).killed, moments[number]
        assert pyrage.decrypt(stored(world, recorded(world)), [team.identity, other.identity]) == plain, moments[number]
        assert not (again := run(goal, act)).broke + again.refused, moments[number]
        assert recorded(world).recipients == (target.recipient,), moments[number]
        assert pyrage.decrypt(stored(world, recorded(world)), [target.identity]) == plain, moments[number]

    assert logged(world).count("rewrap") == 1 + KILLS


def test_an_encrypted_archive_is_inspected_and_verified_with_the_identity_alone(
    world: World, team: Team, tmp_path: Path
) -> None:
    closed = encrypting(world, team)
    closed.archive(SCHOOL)
    bucket = Bucket(closed.environment.store)

    with closed.archiver() as archiver, pytest.raises(UsageError, match="is encrypted, and no identity was given"):
        reverify.reverify(archiver, registry.openable(archiver.databases.master, None), lambda _: None)
    with holding(closed, team).archiver() as archiver:
        [archived] = registry.openable(archiver.databases.master, None)
        [proved] = reverify.reverify(archiver, [archived], lambda _: None)
        with inspect.fetched(bucket, archived.record, archiver.keys, tmp_path) as archive:
            out = io.BytesIO()
            inspect.cat(archive, inspect.table_in(archive.manifest, "schools"), out)

    assert proved.error is None
    assert out.getvalue().startswith(f"{SCHOOL}\t".encode())
