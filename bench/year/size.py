"""How large Apangea's year is at a scale; pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction

from errors import UsageError

SCHOOLS = 13_300
STUDENTS = 343_570
BIG_CLASSROOMS = 48
BIG_STUDENTS = 1_307  # with 413 rows each on the shard: 540,000
SCHOOLS_TO_A_BIG_ONE = 1_330  # and one big one also where there are fewer
FEWEST = 20  # schools: one of twenty is excluded
SHARDS = ("shard_1", "shard_2")


@dataclass(frozen=True, kw_only=True)
class Size:
    """What the generator makes; the fields are the variables of its SQL."""

    schools: int
    students: int  # in all schools
    big_schools: int  # the first ones
    big_classrooms: int  # of each of them; every other school has one
    big_students: int  # of each of them

    @property
    def classrooms(self) -> int:
        """All of them."""
        return self.schools + self.big_schools * (self.big_classrooms - 1)

    def variables(self) -> dict[str, int]:
        """As psql's variables."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"classrooms": self.classrooms}


def parse_scale(text: str) -> Fraction:
    """A scale such as 1/10; UsageError for none, or one too small to exclude a school."""
    try:
        scale = Fraction(text)
    except (ValueError, ZeroDivisionError):
        scale = Fraction(0)
    if not Fraction(FEWEST, SCHOOLS) <= scale <= 1:
        raise UsageError(
            f"--scale: expected a part of the year from 1/{SCHOOLS // FEWEST} to 1/1, got {text!r}.",
            hint="Example: --scale=1/100",
        )
    return scale


def size_at(scale: Fraction) -> Size:
    """The year at a scale. Below a tenth the big school shrinks along, or it would be most of the rows."""
    schools = round(SCHOOLS * scale)
    shrunk = min(Fraction(1), schools / Fraction(SCHOOLS_TO_A_BIG_ONE))
    return Size(
        schools=schools,
        students=round(STUDENTS * scale),
        big_schools=max(1, schools // SCHOOLS_TO_A_BIG_ONE),
        big_classrooms=max(2, round(BIG_CLASSROOMS * shrunk)),
        big_students=max(40, round(BIG_STUDENTS * shrunk)),
    )


def school_id(number: int) -> int:
    """The id of a school by its number from 1: every fourth, as the rehearsal's."""
    return 4 * number + 1


def excluded(size: Size) -> tuple[int, ...]:
    """The ids of the schools that the bench's night leaves alone: one of twenty, and no big one."""
    return tuple(school_id(number) for number in range(FEWEST, size.schools + 1, FEWEST))


def median_schools(size: Size, count: int) -> tuple[int, ...]:
    """The ids of ordinary schools, spread over the year, none excluded: all of one classroom, so all are the median."""
    ordinary = [n for n in range(size.big_schools + 1, size.schools + 1) if n % FEWEST]
    step = max(1, len(ordinary) // count)
    return tuple(school_id(number) for number in ordinary[::step][:count])


def largest_school() -> int:
    """The id of a big school."""
    return school_id(1)
