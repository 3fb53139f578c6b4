"""Values that have broken dumps before, one tuple for each type, as PostgreSQL reads them; None is NULL."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar
from uuid import UUID

_T = TypeVar("_T")

Value = str | int | bool | None
Row = Mapping[str, Value]  # column: value

TEXTS: tuple[str | None, ...] = (
    None,
    "",
    "NULL",
    "null",
    "\\N",
    "\\.",
    "=SUM(A1:A9)",
    "tab\there",
    "line\nbreak",
    "carriage\rreturn",
    "both\r\n",
    "back\\slash \\t \\x41 \\",
    "\"double\" and 'single' quotes, `ticks`",
    "emoji 🎓👩🏽‍🏫",
    "Zoë Łukasz 李 مدرسة e\u0301 \u2028 \ufeff\u200b",
    "  blanks before and after  ",
    " ",
    "control \x01\x07\x08\x0b\x0c\x1b\x7f",
    "a,b;c|d {e} [f] <g> & %s %(h)s $1 $$",
    "'; DROP TABLE schools; --",
)
LONG_TEXT = "A very long note, and it goes on: \\N\t\n" * 1500
NAMES = (
    "Ada",
    "Grace",
    "Emmy",
    "Sofia",
    "Katherine",
    "Mary",
    "Alan",
    "Kurt",
    "Leonhard",
    "Évariste",
    "Niels",
    "Émilie",
)
NUMERICS = ("NaN", "0", "1.10", "-1", "0.00", "1e-20", "123456789012345678901234567890.123456789", None, "42")
DOUBLES = (
    "NaN",
    "Infinity",
    "-Infinity",
    "-0",
    "0",
    "0.1",
    "1e-307",
    "1.7976931348623157e308",
    None,
    "0.75",
    "1",
    "0.5",
)
AMOUNTS = ("NaN", "0.00", "9999999999.99", "-5.00", "12.50", "20.00", None)
SCORES = ("0.00", "100.00", "87.5", "66.67", None, "90", "75.25")
JSON = (
    None,
    "{}",
    "null",
    '{ "b" : 1,\n\t"a": 2.50, "b": 3 }',  # json keeps blanks, order and duplicate keys
    '["\\u0041", "tab\\t", "\\"quoted\\"", "\\\\N", null, 1e400]',
    '"🎓"',
)
TEXT_ARRAYS = (
    None,
    "{}",
    "{1st,3rd}",
    '{NULL,"NULL","null",""}',
    '{"a,b"," c ","d\\"e","f\\\\g","h\ti\nj"}',
    "{{a,b},{c,d}}",
    "[0:1]={zero,one}",
)
INTEGER_ARRAYS = (None, "{}", "{1,2,3}", "{NULL,2147483647,-2147483648}", "{{1,2},{3,4}}", "[5:6]={5,6}", "{4}")
BYTES = (None, "\\x", "\\x005c6e0a0d09ff", "\\x" + bytes(range(256)).hex(), "\\x5c4e")
TIMESTAMPS = (
    "infinity",
    "-infinity",
    None,
    "0044-03-15 12:00:00 BC",
    "294276-12-31 23:59:59.999999",
    "2014-03-09 02:30:00",  # did not exist in New York: clocks skipped it
    "2014-06-13 15:00:00.123456",
)
TIMES_WITH_ZONE = (
    "infinity",
    "-infinity",
    None,
    "2013-11-03 01:30:00-04",  # existed twice
    "2013-11-03 01:30:00-05",
    "1883-11-18 12:00:00-05",
    "2014-02-14 09:30:00.5+00",
    "2014-04-01 14:00:00+00",
)
DATES = ("infinity", "-infinity", None, "0044-03-15 BC", "5874897-12-31", "2013-08-26", "2014-06-13")
BIRTHDAYS = ("2001-02-03", "1999-12-31", "2000-02-29", None, "2002-07-14", "2003-10-01")
INTERVALS = (
    "00:00:00",
    "00:00:00.000001",
    "-1 years -2 mons +3 days -04:05:06.789",
    "178000000 years",
    None,
    "00:07:30",
    "00:12:00",
)
UUIDS = ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", None)
BOOLEANS = (True, False, None)


@dataclass(frozen=True, kw_only=True)
class Values:
    """Endless values of each type, in which every hazard recurs."""

    texts: Iterator[str | None]
    notes: Iterator[str | None]  # including very long ones: for columns of few rows
    names: Iterator[str | None]  # mostly of persons
    numerics: Iterator[str | None]
    doubles: Iterator[str | None]
    amounts: Iterator[str | None]
    scores: Iterator[str | None]
    json: Iterator[str | None]
    text_arrays: Iterator[str | None]
    integer_arrays: Iterator[str | None]
    bytes: Iterator[str | None]
    timestamps: Iterator[str | None]
    times_with_zone: Iterator[str | None]
    dates: Iterator[str | None]
    birthdays: Iterator[str | None]
    intervals: Iterator[str | None]
    uuids: Iterator[str | None]
    booleans: Iterator[bool | None]


def values(rng: random.Random) -> Values:
    """Return the values of one generation."""
    return Values(
        texts=_endless(rng, TEXTS),
        notes=_endless(
            rng, (*TEXTS, LONG_TEXT, rng.randbytes(6000).hex())
        ),  # the last compresses badly: stored out of line
        names=_endless(rng, _people(rng)),
        numerics=_endless(rng, NUMERICS),
        doubles=_endless(rng, DOUBLES),
        amounts=_endless(rng, AMOUNTS),
        scores=_endless(rng, SCORES),
        json=_endless(rng, JSON),
        text_arrays=_endless(rng, TEXT_ARRAYS),
        integer_arrays=_endless(rng, INTEGER_ARRAYS),
        bytes=_endless(rng, BYTES),
        timestamps=_endless(rng, TIMESTAMPS),
        times_with_zone=_endless(rng, TIMES_WITH_ZONE),
        dates=_endless(rng, DATES),
        birthdays=_endless(rng, BIRTHDAYS),
        intervals=_endless(rng, INTERVALS),
        uuids=_endless(rng, (*UUIDS, *(str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(50)))),
        booleans=_endless(rng, BOOLEANS),
    )


def _people(rng: random.Random) -> list[str | None]:
    """Return ordinary names, with a hazard after every four."""
    return list(chain.from_iterable((*rng.sample(NAMES, 4), hazard) for hazard in TEXTS))


def _endless(rng: random.Random, hazards: Sequence[_T]) -> Iterator[_T]:
    """Yield all of them, each time in a new order, so that a column that takes each n-th value does not miss any."""
    while True:
        yield from rng.sample(hazards, len(hazards))
