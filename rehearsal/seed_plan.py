"""The schools, their sizes, shards and customers, with the numbers that tests and documents may name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from errors import UsageError

SCHOOL = 13  # every case of sharing involves it
BIG = 17  # about fifty times the median
EXCLUDED = 21  # excluded from the rehearsal's first night
WITHOUT_STUDENTS = 25
EMPTY = 29  # a row in schools, and no other row
WITHOUT_CLASSROOMS = 33
CUSTOMER = 1234  # of schools on two shards, not of SCHOOL
CUSTOMER_SCHOOLS = (9, 37, 41, 53)
CUSTOMERS = {1200: "Pennsylvania", CUSTOMER: "Allegheny County", 1207: "NULL", 1240: 'Ohio\tRiver\n"Valley"', 1299: ""}
DISTRICTS = {
    3: 1200,
    13: 1200,
    20: CUSTOMER,
    21: CUSTOMER,
    30: 1207,
    34: 1240,
    40: 1299,
    41: None,
}  # district: its customer
FEWEST = 13  # schools that the cases of sharing need
_NAMES = {
    SCHOOL: 'St. Mary\'s "Lower" School 🎓',
    EMPTY: "",
    45: "Tab\tand\nnewline \\N School\\",
    49: None,
    53: "  Île-de-France Académie  ",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of one school."""

    id: int
    name: str | None
    shard: str
    customer_id: int | None
    district_id: int | None
    staff: bool  # and tags, imports and donations: everything that needs no classroom
    classrooms: int
    students: int  # in each classroom


def plans(shards: Sequence[str], count: int, rng: random.Random) -> tuple[Plan, ...]:
    """Return the schools: every fourth id from 5, shard by shard; UsageError if they are too few for the cases."""
    if count < FEWEST:
        raise UsageError(f"The seed needs at least {FEWEST} schools for its cases of sharing, got {count}.")
    return tuple(_plan(5 + 4 * index, shards[index % len(shards)], rng) for index in range(count))


def _plan(school: int, shard: str, rng: random.Random) -> Plan:
    classrooms, students = _size(school, rng)
    customer = _customer(school)
    districts = sorted(number for number, owner in DISTRICTS.items() if owner == customer)
    return Plan(
        id=school,
        name=_NAMES.get(school, f"School {school}"),
        shard=shard,
        customer_id=customer,
        district_id=districts[school % len(districts)] if school % 3 else None,
        staff=school != EMPTY,
        classrooms=classrooms,
        students=students,
    )


def _size(school: int, rng: random.Random) -> tuple[int, int]:
    ordinary = rng.randint(2, 4), rng.randint(5, 11)
    special = {BIG: (48, 24), WITHOUT_STUDENTS: (2, 0), EMPTY: (0, 0), WITHOUT_CLASSROOMS: (0, 0)}
    return special.get(school, ordinary)


def _customer(school: int) -> int | None:
    if school in CUSTOMER_SCHOOLS:
        return CUSTOMER
    others = (1200, 1207, 1240, 1299, None)
    return others[(school - SCHOOL) // 4 % len(others)]
