"""Parses plain data into frozen dataclasses; every mistake has its path and what was expected there."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from datetime import date, time, timedelta
from difflib import get_close_matches
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MOST_LISTED = 20  # keys in one message

Keywords = Annotated[Mapping[str, str], "words of libpq: a number such as a port may stand without quotation marks"]


@dataclass(frozen=True)
class Position:
    """A position in the file, and the list in which every mistake is collected."""

    path: str
    mistakes: list[str]

    def below(self, key: object) -> Position:
        """Return the position of a key or an index below this one."""
        return replace(self, path=f"{self.path}/{key}" if self.path else str(key))

    def wrong(self, expected: str, got: object) -> None:
        """Record the mistake that something else was expected here."""
        self.mistakes.append(f"{self.path}: expected {expected}, got {short(got)}{_as_meant(expected, got)}")

    def unknown_key(self, key: object, names: Collection[str]) -> None:
        """Record that a key below this one is unknown."""
        self.mistakes.append(f"{self.below(key).path}: {unknown_key(key, names)}")


def unknown_key(key: object, names: Collection[str]) -> str:
    """Return that a key is unknown, with the known one that it resembles; else with all, unless they are too many."""
    if near := resembled(key, names):
        return f"unknown key (did you mean {near}?)"
    return f"unknown key; expected one of {', '.join(sorted(names))}" if len(names) <= MOST_LISTED else "unknown key"


def short(value: object) -> str:
    """Return a value as a person wrote it, shortened."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def resembled(key: object, names: Collection[str]) -> str:
    """Return the known key that an unknown one resembles; empty if none does."""
    return next(iter(get_close_matches(str(key), sorted(names), n=1)), "")


def _as_meant(expected: str, got: object) -> str:
    """Return how a number that should be a text is written, or a text that should be a number; else nothing."""
    if expected == SCALARS[str][0] and type(got) is int:
        return f' (write "{got}")'
    return f" (write {got})" if expected == SCALARS[int][0] and re.fullmatch(r"[1-9]\d*", str(got), re.ASCII) else ""


def parse(kind: Any, data: object, position: Position) -> Any:
    """Build `kind` (a dataclass, enum, scalar, tuple, mapping or `X | None`) from plain data.

    Mistakes are added to `position.mistakes`; the result is only valid if there are none.
    """
    origin = get_origin(kind)
    if origin is Annotated:
        return parse(get_args(kind)[0], _numbers_as_text(data), position)
    if origin in (Union, types.UnionType):
        kinds = [arg for arg in get_args(kind) if arg is not type(None)]
        if data is None and len(kinds) < len(get_args(kind)):
            return None
        return parse(next((each for each in kinds if _fits(each, data)), kinds[0]), data, position)
    if origin is tuple:
        return _tuple(get_args(kind)[0], data, position)
    if origin is Mapping or origin is getattr(Mapping, "__origin__", Mapping):
        key_kind, value_kind = get_args(kind)
        return _mapping(key_kind, value_kind, data, position)
    if is_dataclass(kind):
        return _record(kind, data, position)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind, data, position)
    return _scalar(kind, data, position)


def _fits(kind: Any, data: object) -> bool:
    """True if data has the form of one of several kinds: a list, a text, a number."""
    return isinstance(data, list) if get_origin(kind) is tuple else isinstance(kind, type) and type(data) is kind


def _tuple(item: Any, data: object, position: Position) -> tuple[Any, ...]:
    if not isinstance(data, list):
        position.wrong("a list", data)
        return ()
    return tuple(parse(item, value, position.below(number)) for number, value in enumerate(data, start=1))


def _numbers_as_text(data: object) -> object:
    if not isinstance(data, dict):
        return data
    return {key: str(value) if type(value) is int else value for key, value in data.items()}


def _mapping(key_kind: Any, value_kind: Any, data: object, position: Position) -> dict[Any, Any]:
    if not isinstance(data, dict):
        position.wrong("a mapping", data)
        return {}
    return {parse(key_kind, key, position.below(key)): _named(value_kind, key, data[key], position) for key in data}


def _named(kind: Any, key: object, data: object, position: Position) -> Any:
    """Return a mapping's value; a dataclass with a `name` takes it from its key."""
    value = parse(kind, data, position.below(key))
    return replace(value, name=str(key)) if is_dataclass(kind) and "name" in _defaulted(kind) and value else value


def _defaulted(kind: Any) -> set[str]:
    return {field.name for field in fields(kind) if _has_default(field)}


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _record(kind: Any, data: object, position: Position) -> Any:
    if not isinstance(data, dict):
        position.wrong("a mapping", data)
        return None
    hints = _hints(kind)
    names = set(hints)
    unknown = [key for key in data if key not in names]
    for key in unknown:
        position.unknown_key(key, names)
    meant = {resembled(key, names) for key in unknown}
    for name in sorted(names - _defaulted(kind) - set(data) - meant):
        position.below(name).wrong(_words(hints[name]), None)
    values = {key: parse(hints[key], data[key], position.below(key)) for key in data if key in names}
    return kind(**values) if names - _defaulted(kind) <= set(data) else None


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    """Return a dataclass's fields and their kinds; a catalog has a hundred records of a few classes."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _words(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(member.value for member in kind)}"
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_words(each) for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is tuple:
        return "a list"
    return SCALARS[kind][0] if kind in SCALARS else "a mapping"


def _enum(kind: type[Enum], data: object, position: Position) -> Any:
    for member in kind:
        if member.value == data:
            return member
    position.wrong(_words(kind), data)
    return None


def _scalar(kind: Any, data: object, position: Position) -> Any:
    words, convert = SCALARS[kind]
    value = convert(data)
    if value is None:
        position.wrong(words, data)
    return value


def _text(data: object) -> str | None:
    return data if isinstance(data, str) else None


def _number(data: object) -> int | None:
    return data if isinstance(data, int) and not isinstance(data, bool) else None


def _truth(data: object) -> bool | None:
    return data if isinstance(data, bool) else None


def _day(data: object) -> date | None:
    if isinstance(data, date):
        return data
    return as_date(data) if isinstance(data, str) else None


def as_date(text: str) -> date | None:
    """Return a date written YYYY-MM-DD and nothing else; None if it is not one."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _time(data: object) -> time | None:
    # Without quotes YAML reads 10:00 as the number 600.
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", data, re.ASCII) if isinstance(data, str) else None
    return time(int(match[1]), int(match[2])) if match else None


def as_span(data: object) -> timedelta | None:
    """Return a time span written 30m, 26h or 2d and nothing else; None if it is not one."""
    match = re.fullmatch(r"(\d{1,6})([mhd])", data, re.ASCII) if isinstance(data, str) else None
    return timedelta(**{UNITS[match[2]]: int(match[1])}) if match else None


SCALARS: dict[Any, tuple[str, Callable[[object], Any]]] = {
    str: ("a string", _text),
    int: ("a whole number", _number),
    bool: ("true or false", _truth),
    date: ("a date YYYY-MM-DD", _day),
    time: ('a time of day such as "06:00"', _time),
    timedelta: ("a time span such as 30m, 26h or 2d", as_span),
}
