"""An operator's lists of tenants: which to leave out, and which alone to archive. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from archiver.postgres.tenants import Exclude, Include
from errors import Problems, UsageError
from inventory.keys import Key, key_listed

Lines = Iterable[tuple[int, str]]  # each with its number
Named = tuple[str, Key]  # `customer`, or nothing for a tenant; and an id
Said = TypeVar("Said")

# A key as people write it; in JSON's quotation marks if it has a blank, a colon, a comma or such a mark itself.
_QUOTED, _WORD = r'("(?:[^"\\]|\\["\\/bfnrt])*")', r'([^\s",-][^\s:",]*)'
_KEY = rf"(?:customer +(\d+)|{_QUOTED}|{_WORD})"
_LISTED = re.compile(rf" *(?:{_QUOTED}|{_WORD}) *(,|$)", re.ASCII)
_EXCLUDED = re.compile(_KEY, re.ASCII)
_INCLUDED = re.compile(rf"{_KEY}: *(\S.*)", re.ASCII)


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
        customers=frozenset(key for noun, key in named if noun and isinstance(key, int)),
    )


def inclusion(lines: Lines, path: str) -> Include:
    """Return the include list of an operator: on each line `13: reason`, or `customer 99: reason`.

    Raises Problems with each line that is something else, or has an id that is there twice; or if there is none.
    """
    expected = "an id or `customer` and an id, a colon and the reason"
    reasons = _read(lines, path, _INCLUDED, expected, lambda match: match[4])
    if not reasons:
        raise Problems(f"The list {path} has mistakes:", [f"{path}: expected {expected}, got an empty list"])
    return Include(
        tenants={key: reason for (noun, key), reason in reasons.items() if not noun},
        customers={key: reason for (noun, key), reason in reasons.items() if noun and isinstance(key, int)},
    )


def _read(
    lines: Lines, path: str, form: re.Pattern[str], expected: str, said: Callable[[re.Match[str]], Said]
) -> Mapping[Named, Said]:
    """Return what each line says of its tenant or customer; raise Problems with every mistake."""
    mistakes, read, first = [], dict[Named, Said](), dict[Named, int]()
    for number, line in lines:
        match = form.fullmatch(line)
        if match is None:
            mistakes.append(f"{path}:{number}: expected {expected}, got {line!r}")
            continue
        named = _named(match)
        if named in read:
            again = line.split(":")[0]
            mistakes.append(f"{path}:{number}: expected each id once, got {again} again (line {first[named]})")
        else:
            read[named], first[named] = said(match), number
    if mistakes:
        raise Problems(f"The list {path} has mistakes:", mistakes)
    return read


def _named(match: re.Match[str]) -> Named:
    if match[1]:
        return "customer", int(match[1])
    return "", json.loads(match[2]) if match[2] else key_listed(match[3])


def keys_of_list(text: str, label: str) -> frozenset[Key]:
    """Return the keys of a list such as 13,14; raise UsageError with the first that is none."""
    keys, rest = set[Key](), text
    while match := _LISTED.match(rest):
        keys.add(json.loads(match[1]) if match[1] else key_listed(match[2]))
        rest = rest[match.end() :]
        if not match[3]:
            return frozenset(keys)
    raise UsageError(f"{label}: expected keys with commas between them, got {text!r}.", hint=f"Example: {label}=13,14")


def listed(key: Key) -> str:
    """Return a key as a list names it, in quotation marks where it needs them."""
    word = str(key)
    return word if re.fullmatch(_WORD, word) else json.dumps(word, ensure_ascii=False)
