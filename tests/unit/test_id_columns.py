"""Ids on another shard, and where an archive lies today, without a server. Told as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from archiver.catalog.model import resolve
from archiver.mapping.id_columns import id_columns
from archiver.postgres.schema import ForeignKey, Schema
from archiver.records.id_offsets import Region, gaps, reversed_offsets
from archiver.records.move_record import Move, Route
from archiver.records.placement_history import PlacementHistory, Relocation
from archiver.records.state import State
from archiver.reshard.merge_split import MoveOutcome, came_from
from archiver.reshard.preview import MovePreview, Previewed
from archiver.reshard.settle import Ended
from errors import RefusedError
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from inventory.keys import Key
from runbooks.cli.text import shards
from tests.schemas import database

AFTER = ForeignKey(name="marks_after_fkey", columns=("after",), target="steps", target_columns=("id",))
SHARD = database(
    visits="id, room_id, key",
    steps="id, visit_id, visit_key, shape_id, kind",
    notes="visit_id, thing_type, thing_id",
    marks="step, number, kind text, after",
)
CATALOG = Catalog(
    tenant=Tenant(noun="company", table="companies", key="id", title="name", shard="shard"),
    databases={
        "master": {
            "companies": Table(group="company"),
            "rooms": Table(group="room", found_by=("company_id = companies.id",)),
        },
        "shard": {
            "visits": Table(group="visit", found_by=("room_id = master.rooms.id",)),
            "steps": Table(group="visit", found_by=("visit_key = visits.id",)),
            "notes": Table(group="visit", found_by=("visit_id = visits.id",)),
            "marks": Table(group="visit", found_by=("step = steps.id", "number = visits.id where kind = visit")),
        },
    },
    depths={"all": DepthRule(start="companies")},
)


def test_ids_are_found_by_key_link_foreign_key_name_and_class() -> None:
    tables = {**SHARD.tables, "marks": replace(SHARD.tables["marks"], foreign_keys=(AFTER,))}
    found = id_columns(resolve(CATALOG), Schema(tables=tables, types={}))

    assert {name: {one.name: one.holds is None for one in columns} for name, columns in found.items()} == {
        "visits": {"id": True},
        "steps": {"id": True, "visit_id": True, "visit_key": True},
        "notes": {"visit_id": True, "thing_id": False},
        "marks": {"step": True, "number": False, "after": True},
    }


@pytest.mark.parametrize(
    ("regions", "upto", "expected"),
    [
        ([], 9, [(0, 9)]),
        ([Region(0, 9, 5)], 9, []),
        ([Region(0, 9, 5)], 12, [(9, 12)]),
        ([Region(3, 5, 1), Region(7, 9, 1)], 12, [(0, 3), (5, 7), (9, 12)]),
        ([Region(3, 50, 1)], 12, [(0, 3)]),
    ],
)
def test_gaps_are_ids_in_no_region(regions: list[Region], upto: int, expected: list[tuple[int, int]]) -> None:
    assert gaps(regions, upto) == expected


def test_the_reverse_route_undoes_the_route() -> None:
    assert reversed_offsets((Region(0, 9, 100),)) == (Region(100, 109, -100),)
    assert reversed_offsets(reversed_offsets((Region(0, 9, 100),))) == (Region(0, 9, 100),)


def relocation(source: int, target: int, day: int, *, alias: bool = False) -> Relocation:
    return Relocation(source=f"shard_{source}", target=f"shard_{target}", offsets=(), turn=day, alias=alias)


MERGED, SPLIT = relocation(2, 1, 10), relocation(1, 2, 20)
ALIASES = {"shard_2": relocation(2, 1, 10, alias=True), "shard_1": relocation(1, 5, 15, alias=True)}


@pytest.mark.parametrize(
    ("known", "shard", "day", "live", "expected"),
    [
        (PlacementHistory(), 2, 1, False, ()),
        (PlacementHistory(tenants={13: [MERGED, SPLIT]}), 2, 1, False, (MERGED, SPLIT)),
        (PlacementHistory(tenants={13: [MERGED, SPLIT]}), 1, 12, False, (SPLIT,)),
        (PlacementHistory(tenants={13: [MERGED, SPLIT]}), 2, 21, False, ()),
        (PlacementHistory(tenants={14: [MERGED]}), 2, 1, False, ()),
        (PlacementHistory(aliases=ALIASES), 2, 1, False, tuple(ALIASES.values())),
        (PlacementHistory(aliases=ALIASES), 2, 1, True, ()),
        (PlacementHistory(aliases=ALIASES), 2, 11, False, ()),
        (PlacementHistory(aliases=ALIASES), 1, 16, False, ()),
        (PlacementHistory(tenants={13: [MERGED]}, aliases=ALIASES), 2, 1, False, (MERGED, ALIASES["shard_1"])),
        (PlacementHistory(tenants={13: [MERGED]}, aliases=ALIASES), 2, 1, True, (MERGED,)),
    ],
)
def test_an_archive_follows_the_relocations_since(
    known: PlacementHistory, shard: int, day: int, live: bool, expected: tuple[Relocation, ...]
) -> None:
    assert known.relocations(13, f"shard_{shard}", day, live=live) == expected


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ([], None),
        ([(2, 1)], "shard_2"),
        ([(2, 1), (1, 2)], None),
        ([(2, 1), (1, 3), (3, 1)], "shard_2"),
        ([(2, 1), (1, 2), (2, 1)], "shard_2"),
        ([(2, 1), (1, 3)], "shard_1"),
    ],
)
def test_a_school_that_returned_has_its_earlier_origin(ways: list[tuple[int, int]], expected: str | None) -> None:
    gone: dict[Key, list[Relocation]] = {13: [relocation(source, target, 1) for source, target in ways]}

    assert came_from(gone).get(13) == expected


def moved(*, source: str, target: str) -> Move:
    at = datetime(2014, 1, 1, tzinfo=UTC)
    return Move(
        id=1,
        tenant_id=13,
        year=2013,
        verb="merge",
        source=source,
        target=target,
        offsets=(),
        state=State.MOVED,
        location="",
        size=0,
        sha256="",
        etag=None,
        version_id=None,
        members={},
        operator="",
        host="",
        started_at=at,
        switched_at=at,
        turn=1,
    )


def test_a_move_and_its_remaining_relocations_are_shown() -> None:
    done = replace(moved(source="shard_2", target="shard_1"), offsets=(Region(0, 9, 1_000), Region(9, 12, 2_000)))
    route = Route(verb="merge", source="shard_2", target="shard_1")

    words = shards.move_words("school", route)
    told = words.line(MoveOutcome(item=13, seconds=0.5, detail=Ended(move=done, late={})))
    assert told == "school 13: moved to shard_1, 0 rows, ids +1,000 or +2,000, 0.5 s"
    assert words.summary([]) == "Nothing to do: no school on shard_2 is left to be moved."
    [left] = shards.half_moved_lines("school", [replace(done, state=State.LOADING)])
    to_finish = "inv shards.merge --from=shard_2 --into=shard_1 --schools=13"
    assert left == f"school 13 is half moved (loading); to finish it: {to_finish}"


def test_a_preview_is_told_in_a_line_with_what_is_in_the_way_below() -> None:
    route = Route(verb="merge", source="shard_2", target="shard_1")
    preview = MovePreview(rows={"shard.visits": 1200})
    free = Previewed(item=13, seconds=0.5, rows=1200, detail=preview)
    obstacle = "rows of it are already on shard_1: shard.visits (1)"
    refused = replace(free, item=14, detail=replace(preview, in_the_way=(obstacle,)), error=RefusedError(obstacle))
    words = shards.preview_words("school", route)
    assert words.line(free) == "school 13: would be moved to shard_1, 1,200 rows, ids as they were, looked at in 0.5 s"
    assert words.line(refused).splitlines()[1:] == [f"  in the way: {obstacle}"]
    assert words.summary([free, refused]) == (
        "1 of 2 schools can be moved from shard_2 to shard_1: 1,200 rows; nothing was changed; 1 would be REFUSED"
    )
    assert words.summary([]) == "Nothing to do: no school on shard_2 is left to be moved."
