"""Moves and purges without a record: how far a move has come, what has a purge's users, and what refuses either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from archiver.records.state import State
from archiver.runs import adoptable_move, adoptable_purge
from errors import DamagedError, RefusedError
from tests.unit.test_adopting import BEGUN, DIGESTS, KEY, LATER_KEY, PURGE, Recorded, adopter, claim, store, stored

AT = datetime(2014, 7, 2, tzinfo=UTC)
MARKER = {
    "tenant": 13,
    "verb": "merge",
    "source": "shard_1",
    "target": "shard_2",
    "offsets": [[0, 10, 100]],
    "turn": 3,
    "location": stored().location,
}
MOVED_IN = claim(act="moved in", shard="shard_2")
MOVED_OUT = claim(act="moved out", shard="shard_1")
ROUTE = "inv shards.merge --from=shard_1 --into=shard_2"
BOTH = (MOVED_IN, MOVED_OUT)


def of_tenant(tenant_id: int = 13, shard: str = "shard_1") -> Any:
    return SimpleNamespace(manifest=SimpleNamespace(noun="school", tenant_id=tenant_id, shard=shard, year=2013))


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Without more, master names the target and has no record of any move; a test may say otherwise."""
    found: dict[str, Any] = {"marker": MARKER, "lives": "shard_2", "records": [], "done": []}
    monkeypatch.setattr("archiver.records.claims.content", lambda *_: found["marker"])
    monkeypatch.setattr("archiver.records.archives.of_kind", lambda *_: found["records"])
    monkeypatch.setattr("archiver.records.move_record.done", lambda master: found["done"])
    monkeypatch.setattr(adoptable_move, "ready", lambda session: True)
    live = lambda *_: found["lives"] and SimpleNamespace(shard=found["lives"])  # noqa: E731
    monkeypatch.setattr("archiver.postgres.tenants.tenant", live)
    return found


def judge(*claims: Any, keys: Sequence[str] = (KEY,), archive: Any = None) -> Any:
    looking = adopter(*claims, keys=keys)
    object.__setattr__(looking.databases, "session", lambda name: None)
    return adoptable_move.move_adoption(looking, archive or of_tenant(), stored(), DIGESTS)


@pytest.mark.parametrize(
    ("claims", "lives", "state"),
    [
        (BOTH, "shard_2", State.MOVED),
        (BOTH, None, State.MOVED),  # the school was archived since
        (BOTH, "shard_1", State.LOADING),  # master was set back
        ([MOVED_IN], "shard_2", State.SWITCHED),
        ([MOVED_IN], "shard_1", State.LOADING),
        ([MOVED_IN], None, None),
        (BOTH, "shard_3", None),
        ([MOVED_IN], "shard_3", None),
    ],
)
def test_a_move_has_come_as_far_as_its_markers_and_master_say(
    marked: dict[str, Any], claims: Sequence[Any], lives: str | None, state: State | None
) -> None:
    marked["lives"] = lives
    if state is None:
        with pytest.raises(RefusedError, match=f"master names {lives or 'no shard'} for school 13"):
            judge(*claims)
        return
    move = judge(*claims)
    is_switched = state is not State.LOADING
    assert (move.state, move.turn, move.switched_at) == (state, *((3, AT) if is_switched else (None, None)))
    assert (move.id, move.started_at, move.route.command) == (
        7,
        BEGUN,
        "inv shards.merge --from=shard_1 --into=shard_2",
    )
    assert [(each.above, each.upto, each.plus) for each in move.offsets] == [(0, 10, 100)]


@pytest.mark.parametrize("lives", ["shard_1", "shard_3"])
def test_a_move_before_another_has_ended(marked: dict[str, Any], lives: str) -> None:
    marked["lives"] = lives
    later, earlier = (claim(LATER_KEY, act="moved in", number=8, turn=turn) for turn in (4, 2))
    assert judge(*BOTH, later, keys=(KEY, LATER_KEY)).state is State.MOVED
    marked["done"] = [SimpleNamespace(tenant_id=tenant, turn=turn) for tenant, turn in ((13, 2), (99, 9), (13, None))]
    for claims in (BOTH, (*BOTH, earlier)):
        if lives == "shard_1":
            assert judge(*claims, keys=(KEY, LATER_KEY)).state is State.LOADING
        else:
            with pytest.raises(RefusedError):
                judge(*claims, keys=(KEY, LATER_KEY))
    marked["done"] = [SimpleNamespace(tenant_id=13, turn=4)]
    assert judge(*BOTH).state is State.MOVED


@pytest.mark.parametrize(
    ("archive", "claims", "marker"),
    [
        (of_tenant(14), BOTH, {}),
        (of_tenant(shard="shard_2"), BOTH, {}),
        (of_tenant(), BOTH, {"tenant": 14}),
        (of_tenant(), BOTH, {"source": "shard_3"}),
        (of_tenant(), BOTH, {"target": "shard_3"}),
        (of_tenant(), [claim(act="moved in", shard="shard_1")], {}),
    ],
)
def test_a_move_whose_markers_contradict_its_archive_is_refused(
    marked: dict[str, Any], archive: Any, claims: Sequence[Any], marker: Mapping[str, object]
) -> None:
    marked["marker"] = {**MARKER, **marker}
    with pytest.raises(DamagedError, match=r"shows a move of 1[34] from shard_. to shard_.\. Nothing was changed\."):
        judge(*claims, archive=archive)


def test_a_move_of_an_older_version_is_refused(marked: dict[str, Any]) -> None:
    marked["marker"] = {"tenant": 13, "location": stored().location}
    with pytest.raises(RefusedError, match="its markers do not say the new ids: an older version wrote them"):
        judge(*BOTH)


@pytest.mark.parametrize("state", [*State])
def test_a_move_replaces_its_own_plan_and_no_other_record(marked: dict[str, Any], state: State) -> None:
    for begun, replaced in ((BEGUN, state is State.PLANNED), (AT, False)):
        marked["records"] = [Recorded(state, "s3://archives/other", started_at=begun)]
        if replaced:
            assert judge(*BOTH).state is State.MOVED
        else:
            with pytest.raises(RefusedError, match="was moved by record 7, which is that of s3://archives/other now"):
                judge(*BOTH)


def purge_archive(before: str | None = "2012-01-01T00:00:00+00:00", **other: object) -> Any:
    said = {"tenant_id": 7, "year": 2013, "members": {"users": 3}, "before": before, "rows": 3}
    return SimpleNamespace(manifest=SimpleNamespace(**{**said, **other}))


@pytest.fixture
def purged(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Users 1, 2 and 3 were purged and none is live, and master has no record of a purge; a test may say otherwise."""
    found: dict[str, Any] = {"records": [], "users": 0, "rows": 0}
    model = SimpleNamespace(root="users", tables=("users", "preferences"))
    rows = SimpleNamespace(counts=lambda tables: (found["users"] if len(tables) == 1 else found["rows"], 3))
    monkeypatch.setattr("archiver.records.purge_record.every", lambda master: found["records"])
    monkeypatch.setattr(adoptable_purge, "model_of", lambda model_: model)
    monkeypatch.setattr(adoptable_purge, "legacy_placement", lambda *_: SimpleNamespace(schemas={"master": None}))
    monkeypatch.setattr(adoptable_purge, "users_in", lambda *_: {3, 1, 2})
    monkeypatch.setattr(adoptable_purge, "archived_rows", lambda *_: rows)
    monkeypatch.setattr(adoptable_purge, "_deleted", lambda *_: {})
    return found


def judge_purge(archive: Any = None, *, has: bool = True) -> Any:
    looking = adopter(keys=[PURGE], bucket=store(has=has))
    return adoptable_purge.purge_adoption(looking, archive or purge_archive(), stored(PURGE), DIGESTS)


def recorded(ids: Sequence[int], *, number: int = 6, state: State = State.ARCHIVED, members: object = None) -> Any:
    return SimpleNamespace(
        id=number, ids=ids, state=state, year=2013, location="s3://archives/other", members=members or {"users": 3}
    )


def test_a_purge_is_recorded_only_if_no_row_of_it_is_live(purged: dict[str, Any]) -> None:
    adoption = judge_purge()
    assert (adoption.state, adoption.ids, adoption.before) == (
        State.ARCHIVED,
        [1, 2, 3],
        datetime(2012, 1, 1, tzinfo=UTC),
    )
    purged["users"], purged["rows"] = 3, 5
    assert judge_purge() == "its rows are live"
    for users, rows in ((1, 1), (0, 2)):
        purged["users"], purged["rows"] = users, rows
        with pytest.raises(RefusedError, match=f"are partly live: {rows} of 3 rows are"):
            judge_purge()


def test_a_purge_of_an_older_version_is_refused(purged: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="before: missing, for an older version made it"):
        judge_purge(purge_archive(before=None))


@pytest.mark.parametrize("state", [State.ARCHIVED, State.RESTORED])
def test_another_purge_has_the_users_only_if_it_is_archived_with_all_of_them(
    purged: dict[str, Any], state: State
) -> None:
    purged["records"] = [recorded([1, 2, 3, 4], state=state)]
    is_archived = state is State.ARCHIVED
    assert (judge_purge() == "s3://archives/other holds them") is is_archived
    for ids, has in (([1], True), ([1, 2, 3], False)):
        purged["records"] = [recorded(ids, state=state)]
        if is_archived:
            with pytest.raises(RefusedError, match="has users of purge 6, too, whose archive is s3://archives/other"):
                judge_purge(has=has)
        else:
            assert judge_purge(has=has).ids == [1, 2, 3]
    purged["records"] = [recorded([4], state=state)]
    assert judge_purge().ids == [1, 2, 3]


def test_a_purge_s_own_record_gets_the_object_if_its_own_is_gone(purged: dict[str, Any], monkeypatch: Any) -> None:
    monkeypatch.setattr(adoptable_purge, "replace", lambda record, **columns: columns)
    purged["records"] = [recorded([1, 2, 3], number=7)]
    assert judge_purge(has=True) == "s3://archives/other holds them"
    assert judge_purge(has=False).record["location"] == stored(PURGE).location
    for other in (
        recorded([1, 2, 3], number=7, members={"users": 4}),
        recorded([1, 2, 3], number=6),
        recorded([1, 2, 3], number=7, state=State.RESTORED),
    ):
        purged["records"] = [other]
        told = "has users of purge" if other.state is State.ARCHIVED else "is of purge 7, which is that of"
        with pytest.raises(RefusedError, match=told):
            judge_purge(has=False)


def test_two_purges_of_one_user_are_refused_with_both_names() -> None:
    one, other = stored(PURGE), stored(PURGE.replace("/7/", "/8/"))
    adoptable_purge.refuse_shared(one, {1, 2}, other, {3})
    with pytest.raises(RefusedError, match=r"2013_purge_7.* and .*/8/.* both have the user 2\. Nothing was changed\."):
        adoptable_purge.refuse_shared(one, {1, 2}, other, {2, 3})
