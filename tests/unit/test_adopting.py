"""Archives without a record: what refuses one, what says that another has its rows, and what the ledger is to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archiver.records.claims import ArchiveClaim
from archiver.records.state import State
from archiver.runs import adopt, adoptable
from archiver.runs.adopter import Adopter
from archiver.store.bucket import Digests, StoredDigests, StoredObject
from errors import DamagedError, RefusedError
from tests.answering import SCHOOLS

BEGUN, AT = datetime(2014, 7, 1, tzinfo=UTC), datetime(2014, 7, 2, tzinfo=UTC)
KEY, LATER_KEY = (f"2013/13/{extraction}/2013_school_13.tar.gz" for extraction in ("20140701T000000-1f3a", "2015-2"))
PURGE = "purges/2013/7/20140701T000000-1f3a/2013_purge_7.tar.gz"
DIGESTS = StoredDigests(size=5, sha256="aa", md5="bb", etag="cc", version_id=None)


def stored(key: str = KEY) -> StoredObject:
    return StoredObject(location=f"s3://archives/{key}", size=5, modified=AT, etag="cc")


def claim(
    key: str = KEY,
    *,
    act: str = "deleted",
    restored: bool = False,
    shard: str = "shard_1",
    number: int = 7,
    turn: int | None = 3,
) -> ArchiveClaim:
    return ArchiveClaim(
        shard=shard,
        location=stored(key).location,
        id=number,
        started_at=BEGUN,
        act=act,
        at=AT,
        restored=restored,
        turn=turn,
    )


def manifest(**other: object) -> Any:
    usual = {"noun": "school", "tenant_id": 13, "year": 2013, "shard": "shard_1", "month": None, "members": {}}
    return SimpleNamespace(**{**usual, **other})


def archive(**other: object) -> Any:
    return SimpleNamespace(manifest=manifest(**other))


@dataclass(frozen=True)
class Recorded:
    """A record of the tenant and year of these tests, as far as it is asked for."""

    state: State
    location: str
    id: int = 5
    started_at: datetime = BEGUN
    members: Mapping[str, int] = field(default_factory=dict)
    recipients: tuple[str, ...] = ()
    size: int = 0
    sha256: str = ""
    md5: str = ""
    etag: str = ""
    version_id: str | None = None


record: Any = Recorded


def store(*, has: bool = True) -> Any:
    """A store that has every object that is asked for, or none."""
    return SimpleNamespace(
        key=lambda location: location[len("s3://archives/") :], object=lambda key: object() if has else None
    )


def adopter(*claims: ArchiveClaim, keys: Sequence[str] = (KEY,), bucket: Any = None, closed: str = "") -> Adopter:
    """The resources of a look at these objects, without a database; `closed` is a key that master's log closes."""
    model = SimpleNamespace(tenant=SCHOOLS, below=lambda depth: frozenset(), catalog=SimpleNamespace(depths=("all",)))
    placement = SimpleNamespace(sessions={"shard": None})
    databases: Any = SimpleNamespace(master=None, model=model, placement=lambda shard: placement)
    by_location: dict[str, list[ArchiveClaim]] = {}
    for each in claims:
        by_location.setdefault(each.location, []).append(each)
    return Adopter(
        databases=databases,
        bucket=bucket or store(),
        keys=None,  # type: ignore[arg-type]
        work=Path("work"),
        zone=UTC,  # type: ignore[arg-type]
        objects=[stored(key) for key in keys],
        claims=by_location,
        closed=frozenset({stored(closed).location} if closed else ()),
    )


def with_records(patch: pytest.MonkeyPatch, of_tenant: Sequence[State] = (), of_id: Sequence[State] = ()) -> None:
    """Let the ledger have these records, of the tenant and year, and of the claim's number."""
    recorded = {
        name: tuple(record(state, location=f"s3://archives/{name}") for state in states)
        for name, states in (("of_tenant", of_tenant), ("of_id", of_id))
    }
    patch.setattr("archiver.records.archive_record.read_if_any", lambda *_, **__: recorded["of_tenant"])
    patch.setattr("archiver.records.archive_record.of_ids", lambda *_: recorded["of_id"])
    patch.setattr("archiver.records.move_record.done", lambda master: ())
    patch.setattr(adoptable, "ready", lambda session: True)


def judged_by_name(monkeypatch: pytest.MonkeyPatch, looking: Adopter, key: str = KEY) -> Any:
    """Return the verdict on an object that is fetched as what its key says, and adopted by its kind."""
    of_key = archive(noun="purge" if key.startswith("purges/") else "school", tenant_id=int(key.split("/")[-3]))
    monkeypatch.setattr(adopt, "_opened", lambda *_: nullcontext((of_key, DIGESTS)))
    for name in ("adoption_of", "purge_adoption", "move_adoption"):
        monkeypatch.setattr(adopt, name, lambda *_, name=name: name)
    return adopt._judged(looking, stored(key), lambda adoption: None, Path("work")).detail


def test_an_object_is_judged_by_its_kind_and_that_whose_rows_came_back_by_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdict = judged_by_name(monkeypatch, adopter(claim(restored=True)))
    assert (verdict.state, verdict.reason) == (None, "its rows were restored, or it was dropped")
    assert judged_by_name(monkeypatch, adopter(closed=KEY)) == verdict
    assert judged_by_name(monkeypatch, adopter()).reason == "adoption_of"
    for act in ("moved in", "moved out"):
        moved = judged_by_name(monkeypatch, adopter(claim(act=act)))
        assert (moved.subject, moved.reason) == ("move of school 13 of 2013", "move_adoption")
    assert judged_by_name(monkeypatch, adopter(), PURGE).reason == "purge_adoption"


@pytest.mark.parametrize("put", ["aa", "", "dd"])  # equal, put by another tool, altered
@pytest.mark.parametrize("version", ["v1", None])
def test_an_object_is_fetched_as_it_was_put(tmp_path: Path, put: str, version: str | None) -> None:
    now = StoredObject(location="", size=5, modified=AT, version_id=version) if version else None
    fetched = Digests(size=5, sha256="aa", md5="bb")
    bucket = SimpleNamespace(get=lambda key, path, limit: fetched, sha256=lambda key: put, object=lambda key: now)
    looking = adopter(bucket=bucket)
    if put == "dd":
        with pytest.raises(DamagedError, match=r"its SHA-256 is aa…, at the put it was dd…\. Nothing was changed\."):
            adopt._fetched(looking, stored(), KEY, tmp_path)
        return
    digests, path = adopt._fetched(looking, stored(), KEY, tmp_path)
    assert digests == StoredDigests(size=5, sha256="aa", md5="bb", etag="cc", version_id=version)
    assert path == tmp_path / "2013_school_13.tar.gz"


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        ({}, ""),
        ({"noun": "district"}, "noun: expected school, got 'district': an unknown kind"),
        ({"month": "2014-05"}, "noun: expected school, got 'school' of the month 2014-05: an unknown kind"),
        ({"tenant_id": 99}, "it is of school 99 of 2013, so its key would be 2013/99/"),
        ({"year": 2012}, "it is of school 13 of 2012, so its key would be 2012/13/"),
    ],
)
@pytest.mark.parametrize("ending", ["", ".age"])
def test_a_manifest_that_lies_about_its_key_is_refused(lie: dict[str, object], sentence: str, ending: str) -> None:
    if not sentence:
        adopt._refuse_lie(adopter(), archive(), stored(KEY + ending), KEY + ending)
        return
    with pytest.raises(DamagedError, match=sentence) as refused:
        adopt._refuse_lie(adopter(), archive(**lie), stored(KEY + ending), KEY + ending)
    assert str(refused.value).startswith(f"{stored(KEY + ending).location}, manifest.json")


@pytest.mark.parametrize("state", [*State])
@pytest.mark.parametrize("marked", [True, False])
def test_a_record_that_deletes_or_deleted_has_the_rows(
    monkeypatch: pytest.MonkeyPatch, state: State, marked: bool
) -> None:
    with_records(monkeypatch, of_tenant=[state])
    looking, marker = adopter(), claim() if marked else None
    if state in (State.EXTRACTING, State.STORED, State.VERIFIED):
        assert adoptable._recorded(looking, archive(), stored(), marker) == ""
    elif marked:
        with pytest.raises(RefusedError, match="a marker names it, and a record or a marker names the other"):
            adoptable._recorded(looking, archive(), stored(), marker)
    else:
        assert adoptable._recorded(looking, archive(), stored(), marker) == "s3://archives/of_tenant holds them"


def test_a_marker_of_another_object_says_that_it_has_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    with_records(monkeypatch)
    both, [own, other] = (KEY, LATER_KEY), (claim(), claim(LATER_KEY, number=8))
    told = f"{stored(LATER_KEY).location} holds them"
    assert adoptable._recorded(adopter(other, keys=both), archive(), stored(), None) == told
    assert adoptable._recorded(adopter(other, keys=both, closed=LATER_KEY), archive(), stored(), None) == ""
    with pytest.raises(RefusedError, match="are of the same tenant and year"):
        adoptable._recorded(adopter(own, other, keys=both), archive(), stored(), own)


@pytest.mark.parametrize("state", [*State])
def test_a_number_that_another_archive_has_now_is_not_given_twice(
    monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    with_records(monkeypatch, of_id=[state])
    if state in (State.EXTRACTING, State.STORED, State.VERIFIED):
        assert adoptable._recorded(adopter(claim()), archive(), stored(), claim()) == ""
        return
    with pytest.raises(RefusedError, match="was archived by record 7, which is that of s3://archives/of_id now"):
        adoptable._recorded(adopter(claim()), archive(), stored(), claim())


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Without a record nothing is live: a test may change what is read of rows and markers."""
    with_records(monkeypatch)
    found: dict[str, Any] = {"marked": ("all", State.ARCHIVED), "unmarked": "all"}
    rows = SimpleNamespace(live={}, counts_by_table=lambda tables: {"master.users": 2}, retained=lambda database: [])
    monkeypatch.setattr(adoptable, "archived_rows", lambda *_: rows)
    monkeypatch.setattr(adoptable, "_marked", lambda *_: found["marked"])
    monkeypatch.setattr(adoptable, "_unmarked", lambda *_: found["unmarked"])
    monkeypatch.setattr("archiver.records.claims.content", lambda *_: {"night": "2014-07-01"})
    monkeypatch.setattr("archiver.records.id_index.ids_in", lambda archive: {"users": [1]})
    return found


def judge(looking: Adopter, **other: object) -> Any:
    return adoptable.adoption_of(looking, archive(**other), stored(), DIGESTS)


def test_an_archive_is_recorded_under_the_number_and_the_times_of_its_marker(judged: dict[str, Any]) -> None:
    marked = judge(adopter(claim()))
    assert (marked.id, marked.started_at, marked.archived_at, marked.night) == (7, BEGUN, AT, "2014-07-01")
    assert (marked.state, marked.depth, marked.live) == (State.ARCHIVED, "all", {"master.users": 2})
    assert (marked.ids, marked.deleted) == ({"users": [1]}, {"users": [1]})
    unmarked = judge(adopter())
    assert (unmarked.id, unmarked.started_at, unmarked.archived_at, unmarked.night) == (None, BEGUN, None, None)
    assert (unmarked.state, unmarked.live) == (State.ARCHIVED, {"master.users": 2})


def test_an_archive_whose_deletion_master_has_still_to_end_keeps_no_row_yet(judged: dict[str, Any]) -> None:
    judged["marked"] = ("all", State.DELETING)
    adoption = judge(adopter(claim()))
    assert (adoption.state, adoption.archived_at, adoption.live) == (State.DELETING, None, {})


def test_a_marker_of_another_shard_than_the_manifest_s_is_refused(judged: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="is from shard_2, and shard_1 shows the deletion"):
        judge(adopter(claim()), shard="shard_2")


def test_an_archive_that_another_has_the_rows_of_or_whose_rows_are_live_is_not_recorded(judged: dict[str, Any]) -> None:
    both = (KEY, LATER_KEY)
    assert judge(adopter(claim(LATER_KEY), keys=both)) == f"{stored(LATER_KEY).location} holds them"
    with pytest.raises(RefusedError, match="no marker names either"):
        judge(adopter(keys=both))
    judged["unmarked"] = ""
    assert judge(adopter(keys=both)) == "its rows are live"


@pytest.mark.parametrize("present", [True, False])
def test_the_record_of_a_marker_holds_the_rows_by_the_object_that_it_names(
    judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch, present: bool
) -> None:
    own, other = (record(State.ARCHIVED, "s3://archives/own", id=number) for number in (7, 5))
    monkeypatch.setattr("archiver.records.archive_record.read_if_any", lambda *_, **__: [own])
    looking = adopter(claim(), bucket=store(has=present))
    if present:
        assert judge(looking) == "s3://archives/own holds them"
    else:
        assert (judge(looking).record.id, judge(looking).record.location) == (7, stored().location)
    monkeypatch.setattr("archiver.records.archive_record.read_if_any", lambda *_, **__: [other])
    with pytest.raises(RefusedError, match="a marker names it, and a record or a marker names the other"):
        judge(looking)


@pytest.mark.parametrize("ending", ["", ".age"])
def test_a_record_whose_object_is_gone_gets_another_of_the_same_rows(
    judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    lost, found = record(State.ARCHIVED, "s3://archives/lost", members={"a": 1}), stored(KEY + ending)
    monkeypatch.setattr("archiver.records.archive_record.read_if_any", lambda *_, **__: [lost])
    looking = adopter(keys=[KEY + ending], bucket=store(has=False))
    adoption: Any = adoptable.adoption_of(looking, archive(members={"a": 1}), found, DIGESTS)
    assert (adoption.state, adoption.record.location, adoption.record.sha256) == (State.ARCHIVED, found.location, "aa")
    assert adoption.record.recipients == (("unknown",) if ending else ())
    with pytest.raises(RefusedError, match=r"has other rows than record 5 .*, whose object is not in the store: s3://"):
        adoptable.adoption_of(looking, archive(members={"a": 2}), found, DIGESTS)


def test_a_number_is_refused_with_the_object_that_has_it_and_that_it_is_gone(
    judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_records(monkeypatch, of_id=[State.ARCHIVED])
    with pytest.raises(RefusedError, match=r"which is that of s3://archives/of_id \(not in the store\) now"):
        judge(adopter(claim(), bucket=store(has=False)))


@pytest.mark.parametrize("ending", ["", ".age"])
def test_a_purge_lies_if_its_key_is_another_s(ending: str) -> None:
    key, own = PURGE + ending, {"noun": "purge", "tenant_id": 7}
    adopt._refuse_lie(adopter(), archive(**own), stored(key), key)
    for lie, sentence in (
        ({"noun": "school"}, "noun: expected purge, got 'school': an unknown kind"),
        ({"tenant_id": 8}, "it is of purge 8 of 2013, so its key would be purges/2013/8/"),
    ):
        with pytest.raises(DamagedError, match=sentence):
            adopt._refuse_lie(adopter(), archive(**{**own, **lie}), stored(key), key)


def test_an_archive_of_a_tenant_that_was_moved_is_not_recorded_without_its_turn(
    judged: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, moved = (KEY, LATER_KEY), claim(LATER_KEY, act="moved in", number=8)
    assert (judge(adopter(claim(), moved, keys=both)).turn, judge(adopter(claim(turn=None))).turn) == (3, None)
    with pytest.raises(RefusedError, match="nothing says if it was archived before its tenant was moved"):
        judge(adopter(claim(turn=None), moved, keys=both))
    monkeypatch.setattr("archiver.records.move_record.done", lambda master: [SimpleNamespace(tenant_id=13)])
    with pytest.raises(RefusedError, match="nothing says if it was archived before its tenant was moved"):
        judge(adopter(claim(turn=None)))
