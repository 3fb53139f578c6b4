"""The decision to rewrite a table, the space that it needs, and its report: by values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from archiver.postgres.session import DatabaseError
from archiver.runs.upkeep import VacuumOutcome
from archiver.vacuum.bloat import PAGE, BloatSample, DiskSize, Index, Measured, TableBloat, measured, unmeasured
from archiver.vacuum.rewrite import BloatFinding, Fate, Free, Rewrite, Upkeep
from inventory.model import Database, Environment, Ssh
from runbooks.cli.text.upkeep import VacuumWords
from runbooks.upkeep.free_disk import free_disk
from tests.fakes import rehearsal

MB = 1_000_000
TABLE = TableBloat(oid=1, schema="public", name="attempts", owner="ann")


def found(live: int, waste: int) -> Measured:
    return Measured(table=TABLE, bytes=live + waste, live=live, waste=waste)


@pytest.mark.parametrize(
    ("live", "waste", "bloated"),
    [
        (80 * MB, 20 * MB, False),  # a fifth is how a table lives
        (79 * MB, 21 * MB, True),
        (0, 4 * PAGE, True),
        (0, 4 * PAGE - 1, False),  # pages that are not full
        (0, 0, False),
        (900 * MB, 100 * MB, False),
    ],
)
def test_a_table_is_rewritten_from_a_fifth_of_waste_on(live: int, waste: int, bloated: bool) -> None:
    assert found(live, waste).bloated is bloated


def test_a_rewrite_needs_a_fifth_more_than_what_is_live() -> None:
    assert found(100 * MB, 900 * MB).need == 120 * MB
    assert unmeasured(TABLE, DiskSize(all=100 * MB)).need == 120 * MB


@pytest.mark.parametrize(
    ("rows", "width", "fill", "pages"),
    [
        (0, 0, 100, 0),
        (1, 32, 100, 1),
        (226, 32, 100, 1),  # 36 bytes with its pointer, in 8168
        (227, 32, 100, 2),
        (227, 32, 50, 3),
        (8, 1632, 100, 2),  # four fit, not 4.99
        (1000, 20_000, 100, 2572),  # in TOAST, with its index
    ],
)
def test_the_pages_that_rows_need(rows: int, width: int, fill: int, pages: int) -> None:
    sample = BloatSample(rows=rows, width=width, widths={})
    many = DiskSize(all=99_999 * PAGE, main=99_999 * PAGE)
    assert measured(replace(TABLE, fill=fill), many, [], sample).live == pages * PAGE


def test_more_than_there_is_is_no_waste() -> None:
    one = measured(TABLE, DiskSize(all=PAGE, main=PAGE), [], BloatSample(rows=1000, width=100, widths={}))
    assert (one.live, one.waste) == (PAGE, 0)


@pytest.mark.parametrize(
    ("pages", "columns", "live", "waste"),
    [
        (29, ("id",), 29, 0),  # 10,000 entries of 20 bytes, 90 % of 8152 a page, a root and what lies between
        (60, ("id",), 30, 0),  # filled in any order, it would be so again
        (61, ("id",), 30, 31),
        (400, None, 400, 0),  # unknown
        (61, ("id", "name"), 52, 0),
    ],
)
def test_the_pages_that_an_index_needs(pages: int, columns: tuple[str, ...] | None, live: int, waste: int) -> None:
    sample = BloatSample(rows=10_000, width=0, widths={"id": 8.0, "name": 12.5})
    one = measured(TABLE, DiskSize(), [Index(bytes=pages * PAGE, columns=columns)], replace(sample, width=-4 + 1e-9))
    assert (one.live, one.waste) == (live * PAGE, waste * PAGE)


BIG = found(20 * MB, 180 * MB)


def outcome(
    measured: Measured, rewrite: Rewrite | None = None, *, seconds: float = 0, error: DatabaseError | None = None
) -> VacuumOutcome:
    return VacuumOutcome(item=BloatFinding(measured=measured), seconds=seconds, detail=rewrite, error=error)


WORDS = VacuumWords(upkeep=cast(Upkeep, None), database="master")
REWRITTEN = Rewrite(fate=Fate.REWRITTEN, before=200 * MB, after=20 * MB)
NO_ROOM = Rewrite(fate=Fate.NO_ROOM, free=9)


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (outcome(BIG, REWRITTEN, seconds=1.25), "200 MB → 20 MB, 1.2 s"),
        (outcome(found(90 * MB, 10 * MB), Rewrite(fate=Fate.KEPT)), "skipped, 10% of 100 MB is waste"),
        (outcome(BIG, NO_ROOM), "NO ROOM, it needs 24 MB of free disk, and has 9 B"),
        (outcome(BIG, error=DatabaseError("No.")), "FAILED. No."),
        (outcome(BIG, Rewrite(fate=Fate.WAITING)), "NOT ANALYZED, because not all of its partitions were"),
    ],
)
def test_the_outcome_of_a_table_is_one_line(ended: VacuumOutcome, line: str) -> None:
    assert WORDS.line(ended) == f"master public.attempts: {line}"


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (replace(TABLE, permitted=False), "it belongs to ann"),
        (replace(TABLE, filled=False), "it has no rows of its own"),
        (
            replace(TABLE, readable=False),
            "its waste is unknown, as this role may not read it; --all rewrites it",
        ),
    ],
)
def test_a_table_that_is_skipped_has_a_reason(table: TableBloat, why: str) -> None:
    ended = outcome(unmeasured(table, DiskSize()), Rewrite(fate=Fate.KEPT))
    assert WORDS.line(ended) == f"master public.attempts: skipped, {why}"


def test_a_database_is_summed_up() -> None:
    done = [outcome(BIG, REWRITTEN), outcome(found(90 * MB, 10 * MB), Rewrite(fate=Fate.KEPT))]
    assert WORDS.summary(done) == "master: 300 MB → 120 MB; 1 of 2 tables rewritten, 1 skipped"
    for failed in (outcome(BIG, NO_ROOM), outcome(BIG, error=DatabaseError("No."))):
        assert WORDS.summary([*done, failed]).endswith(", 1 skipped, 1 FAILED")


def at_home(tmp_path: Path) -> Environment:
    """The rehearsal, on the host of master."""
    (tmp_path / "host").write_text("db-master\n")
    return replace(rehearsal(), host_name_file=str(tmp_path / "host"))


def asked(environment: Environment, database: Database, ask: Callable[[Free], object]) -> tuple[object, list[str]]:
    """Return the free disk, and the warnings."""
    warnings: list[str] = []
    with free_disk(environment, database, warnings.append) as free:
        return ask(free), warnings


def test_on_its_own_host_the_disk_is_measured_without_a_link(tmp_path: Path) -> None:
    environment = at_home(tmp_path)
    free, warnings = asked(environment, replace(environment.master, data_directory=str(tmp_path)), lambda free: free())
    assert isinstance(free, int)
    assert free > 0
    assert warnings == []


def test_an_unknown_disk_is_reported_once_and_stops_no_work(tmp_path: Path) -> None:
    environment = at_home(tmp_path)
    lost = replace(environment.master, data_directory=str(tmp_path / "not there"))
    found, warnings = asked(environment, lost, lambda free: (free(), free()))
    assert (found, len(warnings)) == ((None, None), 1)
    assert warnings[0].startswith("master: its free disk is unknown, continuing without: df exited 1: ")

    assert asked(environment, environment.master, lambda free: free()) == (
        None,
        ["master: the inventory has no data_directory for it, so its free disk is not checked"],
    )
    far = replace(environment.shards[0], data_directory="/data")
    known_hosts = tmp_path / "known_hosts"
    known_hosts.touch()
    out_of_reach = replace(environment, ssh=Ssh(known_hosts=str(known_hosts), connect_timeout=1))
    found, warnings = asked(out_of_reach, far, lambda free: free())
    assert found is None
    assert "Connecting to db-shard-1" in warnings[0]
