"""The size of Apangea's year at a scale. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction

from errors import UsageError

SCHOOLS = 13_300
STUDENTS = 343_570
BIG_CLASSROOMS = 48
BIG_STUDENTS = 1_307  # with 413 rows each on the shard: 540,000
SCHOOLS_TO_A_BIG_ONE = 1_330  # and at least one big one
FEWEST = 20  # schools; one of twenty is excluded
SHARDS = ("shard_1", "shard_2")


@dataclass(frozen=True, kw_only=True)
class Size:
    """The numbers of generated rows; the fields are the variables of the SQL."""

    schools: int
    students: int  # in all schools
    big_schools: int  # the first ones
    big_classrooms: int  # per big school; every other school has one
    big_students: int  # per big school

    @property
    def classrooms(self) -> int:
        """The number of all classrooms."""
        return self.schools + self.big_schools * (self.big_classrooms - 1)

    def variables(self) -> dict[str, int]:
        """Return the numbers as psql variables."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"classrooms": self.classrooms}


def parse_scale(text: str) -> Fraction:
    """Return a scale such as 1/10; raise UsageError if it is invalid, or too small to exclude a school."""
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
    """Return the year's size at a scale. Below 1/10 the big school shrinks too, or it would have most of the rows."""
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
    """Return the id of a school by its number from 1: every fourth, as in the rehearsal."""
    return 4 * number + 1


def excluded(size: Size) -> tuple[int, ...]:
    """Return the ids of the schools that the bench's night excludes: one of twenty, and no big one."""
    return tuple(school_id(number) for number in range(FEWEST, size.schools + 1, FEWEST))


def median_schools(size: Size, count: int) -> tuple[int, ...]:
    """Return ids of ordinary schools, spread over the year and not excluded; each has one classroom, the median."""
    ordinary = [n for n in range(size.big_schools + 1, size.schools + 1) if n % FEWEST]
    step = max(1, len(ordinary) // count)
    return tuple(school_id(number) for number in ordinary[::step][:count])


def largest_school() -> int:
    """Return the id of a big school."""
    return school_id(1)
