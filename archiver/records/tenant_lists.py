"""An operator's lists of tenants: which to leave out, and which alone to archive. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from archiver.postgres.tenants import Exclude, Include
from errors import Problems
from inventory.keys import LISTED, Key, key_listed

Lines = Iterable[tuple[int, str]]  # each with its number
Named = tuple[str, Key]  # `customer`, or nothing for a tenant; and an id
Said = TypeVar("Said")

_KEY = rf"(?:(customer) +)?({LISTED})"
_EXCLUDED = re.compile(_KEY)
_INCLUDED = re.compile(rf"{_KEY}: *(\S.*)")


def union(exclude: Exclude, other: Exclude) -> Exclude:
    """Return the exclusion of all that either excludes."""
    return Exclude(tenants=exclude.tenants | other.tenants, customers=exclude.customers | other.customers)


def exclusion(lines: Lines, path: str) -> Exclude:
    """Return the exclusion in an operator's list: on each line a tenant's id, or `customer 99`.

    Raises Problems with each line that is something else, or is there twice.
    """
    named = _read(lines, path, _EXCLUDED, "an id or `customer` and an id", lambda match: None)
    return Exclude(
        tenants=frozenset(key for noun, key in named if not noun),
        customers=frozenset(key for noun, key in named if noun),
    )


def inclusion(lines: Lines, path: str) -> Include:
    """Return the include list of an operator: on each line `13: reason`, or `customer 99: reason`.

    Raises Problems with each line that is something else, or has an id that is there twice; or if there is none.
    """
    expected = "an id or `customer` and an id, a colon and the reason"
    reasons = _read(lines, path, _INCLUDED, expected, lambda match: match[3])
    if not reasons:
        raise Problems(f"The list {path} has mistakes:", [f"{path}: expected {expected}, got an empty list"])
    return Include(
        tenants={key: reason for (noun, key), reason in reasons.items() if not noun},
        customers={key: reason for (noun, key), reason in reasons.items() if noun},
    )


def _read(
    lines: Lines, path: str, form: re.Pattern[str], expected: str, said: Callable[[re.Match[str]], Said]
) -> Mapping[Named, Said]:
    """Return what each line says of its tenant or customer; raise Problems with every mistake."""
    mistakes, read, first = [], dict[Named, Said](), dict[Named, int]()
    for number, line in lines:
        match = form.fullmatch(line)
        named = _named(match) if match else None
        if match is None or named is None:
            mistakes.append(f"{path}:{number}: expected {expected}, got {line!r}")
        elif named in read:
            again = line[: match.end(2)]
            mistakes.append(f"{path}:{number}: expected each id once, got {again} again (line {first[named]})")
        else:
            read[named], first[named] = said(match), number
    if mistakes:
        raise Problems(f"The list {path} has mistakes:", mistakes)
    return read


def _named(match: re.Match[str]) -> Named | None:
    try:
        return match[1] or "", key_listed(match[2])
    except ValueError:
        return None
