"""Every school out and back on real servers, judged by an oracle that shares nothing with the archiver."""

from __future__ import annotations

import random

import pytest

from inventory.catalog import DEFAULT_DEPTH
from rehearsal.seed_plan import BIG, CUSTOMER_SCHOOLS, EMPTY, SCHOOL, WITHOUT_CLASSROOMS, WITHOUT_STUDENTS
from tests import oracle
from tests.worlds import DEPTHS, World, same, school_ids

CASES = (SCHOOL, BIG, WITHOUT_STUDENTS, EMPTY, WITHOUT_CLASSROOMS, *CUSTOMER_SCHOOLS)


@pytest.mark.parametrize("depth", DEPTHS)
def test_each_school_leaves_exactly_what_the_oracle_says_and_comes_back_byte_for_byte(world: World, depth: str) -> None:
    before = oracle.snapshot(world.dsns)
    with world.by_one_worker() as busy:
        # The depth decides only what is deleted: the schools that the seed made for its cases show that.
        for school in school_ids(world) if depth == DEFAULT_DEPTH else CASES:
            expected = oracle.expected_after_archive(world.dsns, school, depth, before)

            busy.archive(school, depth=depth)
            same(expected, oracle.snapshot(world.dsns))

            busy.restore(school)
            same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize(("order", "depth"), [(1, "all"), (2, "promote")])
def test_all_schools_out_and_back_in_random_order(world: World, depth: str, order: int) -> None:
    before, schools = oracle.snapshot(world.dsns), school_ids(world)
    expected = oracle.expected_after_archiving(world.dsns, schools, depth, before)

    world.archive(*random.Random(order).sample(schools, len(schools)), depth=depth)
    same(expected, oracle.snapshot(world.dsns))

    world.restore(*random.Random(order + 100).sample(schools, len(schools)))
    same(before, oracle.snapshot(world.dsns))
