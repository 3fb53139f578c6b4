"""Every kill, hundreds of writers and of products: `make torture` runs this, `make test` a sample of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import zip_longest
from pathlib import Path

import pytest

from inventory.catalog import DEFAULT_DEPTH
from rehearsal.postgres_server import Cluster
from tests import signaled_nights
from tests.properties.cases import DATABASES, try_oddities, try_products
from tests.properties.oddities import KINDS
from tests.random_nights import faults
from tests.torture.hammered import hammered
from tests.torture.kills import Blow, Kill, Matrix, behind_a_wire
from tests.torture.ledger import NIGHT, Ledger
from tests.torture.many import Many
from tests.torture.mended import ACTS, Mended
from tests.torture.months import FEW, FEW_DATABASES, Months, School, in_any_order
from tests.torture.moves import MERGE, SPLIT, Moved, alone
from tests.torture.nights import KILLS, killed, moments_in_any_order
from tests.torture.set_back import own_server, tried, tries, unharmed
from tests.torture.set_back_ways import WAYS, Way
from tests.torture.year import killed as killed_year
from tests.torture.year import year
from tests.worlds import DEPTHS, NewWorld, World

MANY = (5, 13, 17, 25, 29)  # shared teachers, several shards
MOMENTS = 12  # of those at which a kind can be struck; the others are tried with --tries=all
KILLS_OF_A_YEAR = 50
WRITER_RUNS = 200
RANDOM_NIGHTS, SIGNALED_NIGHTS = 1000, 50
PRODUCTS, AT_ONCE = 500, 25
ODDITIES, ODD_AT_ONCE = 10, 5  # of each kind: tries, and products in each


@pytest.mark.parametrize("school", [13, 5])
@pytest.mark.parametrize("depth", DEPTHS)
def test_no_kill_loses_a_row(world: World, school: int, depth: str) -> None:
    _every_moment(world, Kill(world), school, depth, Ledger(f"kills-{school}-{depth}"))


@pytest.mark.parametrize("depth", DEPTHS)
def test_no_kill_of_a_run_over_many_loses_a_row(world: World, depth: str) -> None:
    ledger, many = Ledger(f"kills-many-{depth}"), Many(world=world, schools=MANY, depth=depth)
    for each in many.killed(
        [int(name) for name in ledger.left([str(number) for number in _order(many.moments, 13)], MOMENTS)]
    ):
        ledger.add(str(each.number), lost=each.lost, seconds=each.seconds, how=each.moment)
        assert each.lost == 0, each


def test_no_kill_of_past_months_loses_a_row(new_world: NewWorld) -> None:
    ledger = Ledger("kills-months")
    with new_world(FEW_DATABASES) as world:
        months = Months(world=world, day=FEW)
        for archive_at, restore_at in _in_pairs(ledger, months.moments, 2014):
            for each in months.round(archive_at, restore_at):
                name = f"{each.act.verb.removesuffix(' activity')} {each.number}"
                ledger.add(name, lost=each.lost, seconds=each.seconds, how=each.moment)


def test_no_kill_of_a_restore_with_months_loses_a_row(new_world: NewWorld) -> None:
    ledger = Ledger("kills-school-with-months")
    with new_world(FEW_DATABASES) as world:
        school = School(world=world, school=13, day=date(2014, 9, 5))
        for name in ledger.left([str(number) for number in in_any_order(school.moments, 13)], MOMENTS):
            each = school.killed(int(name))
            ledger.add(name, lost=each.lost, seconds=each.seconds, how=each.moment)
            assert each.lost == 0, each


@pytest.mark.parametrize("mended", ACTS, ids=str)
def test_no_kill_of_an_adoption_a_drop_or_a_part_loses_a_row(new_world: NewWorld, mended: Mended) -> None:
    ledger, moments = Ledger(f"kills-{mended}"), mended.moments(new_world)
    for name in ledger.left([str(number) for number in in_any_order(moments, 13)], MOMENTS):
        began, lost = time.monotonic(), mended.killed(new_world, int(name))
        ledger.add(name, lost=lost, seconds=time.monotonic() - began, how=moments[int(name)])
        assert lost == 0, moments[int(name)]


def test_no_kill_of_a_whole_year_loses_a_row() -> None:
    ledger = Ledger("kills-year")
    left = ledger.left([str(chance) for chance in range(KILLS_OF_A_YEAR)])
    with year() as whole:
        for name in left:
            began = time.monotonic()
            instant, lost = killed_year(whole, int(name))
            seconds, how = time.monotonic() - began, f"at {instant:.1f} of {whole.seconds:.1f} s"
            ledger.add(name, lost=lost, seconds=seconds, how=how)
            assert lost == 0, how


def test_no_kill_of_a_move_loses_a_row(new_world: NewWorld, alike: str) -> None:
    with alone(new_world, alike) as world:
        _every_move(world, Kill(world), Ledger("kills-moves"))


def test_no_lost_link_of_a_move_loses_a_row(new_world: NewWorld, alike: str) -> None:
    with alone(new_world, alike) as world, behind_a_wire(world) as cut:
        _every_move(world, cut, Ledger("cuts-moves"))


def test_no_lost_link_loses_a_row(world: World) -> None:
    with behind_a_wire(world) as cut:
        _every_moment(world, cut, 13, DEFAULT_DEPTH, Ledger("cuts-13-all"))


def test_no_writer_loses_a_row(world: World) -> None:
    ledger = Ledger("writers-13")
    for name in ledger.left([str(seed) for seed in range(WRITER_RUNS)]):
        each = hammered(world, 13, "shard_3", int(name))
        ledger.add(name, lost=each.lost, seconds=each.seconds, how=each.how)
        assert each.lost == 0, each


def test_no_random_product_loses_a_row(new_world: NewWorld, tmp_path: Path) -> None:
    ledger = Ledger("products")
    left = ledger.left([f"{chance}-{number}" for chance in range(PRODUCTS // AT_ONCE) for number in range(AT_ONCE)])
    with new_world(DATABASES) as shared_world:
        for chance in sorted({int(name.partition("-")[0]) for name in left}):
            seconds = try_products(shared_world, tmp_path / "catalog.yaml", AT_ONCE, chance)
            for number, each in enumerate(seconds):
                ledger.add(f"{chance}-{number}", lost=0, seconds=each)


@pytest.mark.parametrize("kind", KINDS)
def test_no_oddity_of_a_product_loses_a_row(new_world: NewWorld, tmp_path: Path, kind: str) -> None:
    ledger = Ledger(f"oddities-{kind}".replace(" ", "-"))
    for name in ledger.left([str(chance) for chance in range(ODDITIES)]):
        with new_world(DATABASES) as shared_world:
            began = time.monotonic()
            ends = try_oddities(shared_world, tmp_path / "catalog.yaml", kind, ODD_AT_ONCE, int(name))
            how = ", ".join(f"{many} {end}" for end, many in sorted(ends.items()))
            ledger.add(name, lost=0, seconds=time.monotonic() - began, how=how)


def test_no_fault_or_answer_spoils_a_night_in_memory() -> None:
    _seeds("random-nights", RANDOM_NIGHTS, faults)


def test_no_signal_spoils_a_night(tmp_path: Path) -> None:
    _seeds("signaled-nights", SIGNALED_NIGHTS, lambda seed: signaled_nights.faults(tmp_path / str(seed), seed))


def _seeds(kind: str, count: int, play: Callable[[int], Sequence[str]]) -> None:
    """Play a night by each seed that is left, and keep what was wrong with it."""
    ledger = Ledger(kind, judged=NIGHT)
    for name in ledger.left([str(seed) for seed in range(count)]):
        began, wrong = time.monotonic(), play(int(name))
        ledger.add(name, lost=len(wrong), seconds=time.monotonic() - began, how="; ".join(wrong))
        assert wrong == []


def test_no_kill_spoils_a_night() -> None:
    ledger = Ledger("nights", NIGHT)
    left = ledger.left(moments_in_any_order(2014), MOMENTS)
    while left:
        for each in killed(left[:KILLS]):
            ledger.add(each.moment, lost=len(each.faults), seconds=each.seconds, how="; ".join(each.faults))
            assert each.faults == [], each
            left.remove(each.moment)


def _every_moment(world: World, blow: Blow, school: int, depth: str, ledger: Ledger) -> None:
    matrix = Matrix(world=world, blow=blow, school=school, depth=depth)
    for archive_at, restore_at in _in_pairs(ledger, matrix.moments, school):
        for each in matrix.round(archive_at, restore_at):
            ledger.add(f"{each.act.verb} {each.number}", lost=each.lost, seconds=each.seconds, how=each.moment)
            assert each.lost == 0, each


def _every_move(world: World, blow: Blow, ledger: Ledger) -> None:
    moved = Moved(world, blow)
    acts = {act.verb: act for act in (MERGE, SPLIT)}
    for numbers in _in_pairs(ledger, dict(zip(acts, moved.both(), strict=True)), 13):
        moved.forget()
        for act, number in zip(acts.values(), numbers, strict=True):
            began = time.monotonic()
            if number is None:
                moved.moments(act)
            else:
                moved.strike(act, number)
                ledger.add(f"{act.verb} {number}", lost=0, seconds=time.monotonic() - began)


def _in_pairs(ledger: Ledger, moments: Mapping[str, Sequence[str]], seed: int) -> Iterator[tuple[int | None, ...]]:
    """Yield the moments at which both ways are to be struck, one of each at a time; None: that way has none left."""
    named = [[f"{verb} {number}" for number in _order(each, seed)] for verb, each in moments.items()]
    left = ledger.left([name for pair in zip_longest(*named) for name in pair if name], MOMENTS)
    numbers = [[int(name.split(" ")[1]) for name in left if name.startswith(f"{verb} ")] for verb in moments]
    yield from zip_longest(*numbers)


def _order(moments: Sequence[str], seed: int) -> list[int]:
    """Shuffled, so that an early end has seen a fair sample; moments in the scratch database come last."""
    numbers = random.Random(seed).sample(range(len(moments)), len(moments))
    return sorted(numbers, key=lambda number: "scratch:" in moments[number])


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_no_earlier_server_in_a_database_s_place_loses_a_row(
    new_world: NewWorld, alike: str, cluster: Cluster, way: Way
) -> None:
    """Each way, killed at each moment, with a copy of before the act and of just before the kill: see `tries`."""
    with way.world(new_world, alike) as world:
        ending = unharmed(world, way)
    with own_server(cluster) as server:
        for database in way.set_back:
            ledger = Ledger(f"set-back-{way}-{database}")
            every = {one.name: one for one in tries(way, database, ending)}
            for name in ledger.left([*every], MOMENTS):
                began = time.monotonic()
                with way.world(new_world, alike) as world:
                    verdict = tried(world, server, every[name])
                assert not verdict.wrong, f"{every[name]}: {verdict}"
                ledger.add(name, lost=verdict.lost, seconds=time.monotonic() - began, how=" | ".join(verdict.said))
                assert verdict.lost == 0, f"{every[name]}: {verdict}"
