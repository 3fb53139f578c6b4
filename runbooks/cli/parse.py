"""Parsers of what an operator types: each takes the text and the option's label, and raises UsageError."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, time, timedelta
from enum import Enum
from typing import TypeVar

from archiver.format import encryption
from errors import Problems, UsageError
from inventory.keys import Key, key_listed, words_of_list
from inventory.parse import as_date, as_span

QUOTED = (
    """ (a key with a blank, comma, colon or quotation mark in JSON's: '"a, b",13')"""  # for the help of such lists
)
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
LONGEST_ID = 18  # digits; always fits PostgreSQL's bigint
Member = TypeVar("Member", bound=Enum)
Value = TypeVar("Value")


def parse_date(text: str, label: str = "--date") -> date:
    """Return a day of the calendar written YYYY-MM-DD."""
    day = as_date(text)
    if day is None:
        raise _refused(label, "a day written YYYY-MM-DD", text, "2014-08-15")
    return day


def parse_clock(text: str, label: str) -> time:
    """Return a time of day written HH:MM."""
    hour, _, minute = text.partition(":")
    if not (len(hour) == len(minute) == 2 and f"{hour}{minute}".isascii() and f"{hour}{minute}".isdigit()):
        raise _refused(label, "a time", text, "06:00")
    if int(hour) > 23 or int(minute) > 59:
        raise _refused(label, "a time", text, "06:00")
    return time(int(hour), int(minute))


def parse_id(text: str, label: str) -> int:
    """Return a positive id in ASCII digits; the label is an option or, for a positional word, its noun."""
    if not _positive(text):
        raise _refused(label, "an id (a positive whole number)", text, "13")
    return int(text)


def parse_key(text: str, label: str) -> str:
    """Return the word for a tenant's key; what it means, the tenants' table says."""
    if not text or text.startswith("-"):
        raise _refused(label, "a key", text, "13")
    return text


def parse_part(text: str, label: str) -> tuple[str, str]:
    """Return the noun of a part and the word for its key, written with a blank between them."""
    noun, _, word = text.partition(" ")
    if not noun or not word:
        raise _refused(label, "a part and its key", text, '"student 592"')
    return noun, word


def parse_listed(text: str, label: str) -> Key:
    """Return the key that a word of a list means, where no column says its type."""
    try:
        return key_listed(text)
    except ValueError:
        raise _refused(label, "a key", text, "13") from None


def parse_listed_word(text: str, label: str) -> str:
    """Return a word for a key as a list has it; what it means, the tenants' table says."""
    parse_listed(text, label)
    return text


def each_once(parse: Callable[[str, str], Value], example: str) -> Callable[[str, str], frozenset[Value]]:
    """Return a parser of a list with commas, which raises Problems with each word that is wrong or stands twice."""

    def parse_all(text: str, label: str) -> frozenset[Value]:
        values: Counter[Value] = Counter()
        problems = []
        for word in words_of_list(text):
            try:
                values[parse(word, label)] += 1
            except UsageError as error:
                problems.append(str(error).removeprefix(f"{label}: "))
        problems += [f"{value} stands there twice." for value, times in values.items() if times > 1]
        if problems:
            raise Problems(f"{label} has mistakes; nothing was changed:", problems, hint=f"Example: {label}={example}")
        return frozenset(values)

    return parse_all


def parse_reasons(text: str, label: str) -> dict[str, str]:
    """Return reasons by what they are for, written as a JSON object of texts."""
    try:
        reasons = json.loads(text)
    except ValueError:
        reasons = None
    if not isinstance(reasons, dict) or not all(isinstance(reason, str) for reason in reasons.values()):
        raise _refused(label, "reasons as a JSON object", text, '\'{"customer 1234": "will not renew, OPS-510"}\'')
    return reasons


def parse_year(text: str, label: str = "--year") -> int:
    """Return a school year."""
    return parse_count(text, label, "2013")


def count(example: int) -> Callable[[str, str], int]:
    """Return a parser of positive whole numbers, whose hint shows the example."""
    return lambda text, label: parse_count(text, label, str(example))


def parse_count(text: str, label: str, example: str) -> int:
    """Return a positive whole number in ASCII digits."""
    if not _positive(text):
        raise _refused(label, "a positive whole number", text, example)
    return int(text)


def parse_size(text: str, label: str) -> int:
    """Return bytes, written with a unit: 512MiB."""
    for unit, factor in UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.isascii() and number.isdigit() and int(number):
            return int(number) * factor
    raise _refused(label, "a size in MiB or GiB", text, "512MiB, or 2GiB")


def parse_span(text: str, label: str) -> timedelta:
    """Return a time span, written with a unit: 30m, 26h, 7d."""
    span = as_span(text)
    if span is None:
        raise _refused(label, "a time span", text, "26h, or 7d")
    return span


def one_of(words: Sequence[str]) -> Callable[[str, str], str]:
    """Return a parser that takes one of some words."""

    def parse(text: str, label: str) -> str:
        if text not in words:
            raise UsageError(f"{label}: {_expected(_alternatives(words), text)}.")
        return text

    return parse


def member_of(kind: type[Member]) -> Callable[[str, str], Member]:
    """Return a parser that takes the value of an enumeration's member."""
    words = one_of([member.value for member in kind])
    return lambda text, label: kind(words(text, label))


def parse_identity(text: str, label: str) -> str:
    """Return the name of a file; an identity itself would be seen on the command line, and is refused."""
    encryption.refuse_literal_identity(text)
    return text


def _positive(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_ID and int(text) > 0


def _alternatives(words: Sequence[str]) -> str:
    return " or ".join(words) if len(words) < 3 else f"one of {', '.join(words)}"


def _refused(label: str, what: str, text: str, example: str) -> UsageError:
    joint = "=" if label.startswith("--") else " "
    return UsageError(f"{label}: {_expected(what, text)}.", hint=f"Example: {label}{joint}{example}")


def _expected(what: str, text: str) -> str:
    return f"expected {what}, got {text!r}" if text else f"expected {what}, got nothing"
