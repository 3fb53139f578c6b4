"""Plain data to frozen dataclasses, with every mistake named by its path and what was expected there."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from datetime import date, time, timedelta
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Place:
    """Where in the file we are, and the list in which every mistake is collected."""

    path: str
    mistakes: list[str]

    def below(self, key: object) -> Place:
        """The place of a key or an index under this one."""
        return replace(self, path=f"{self.path}/{key}" if self.path else str(key))

    def wrong(self, expected: str, got: object) -> None:
        """Notes that something else was expected here."""
        self.mistakes.append(f"{self.path}: expected {expected}, got {shown(got)}")


def shown(value: object) -> str:
    """A value as a person wrote it, short."""
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse(kind: Any, data: object, place: Place) -> Any:
    """Builds `kind` (a dataclass, enum, scalar, tuple, mapping or `X | None`) from plain data.

    Mistakes are added to `place.mistakes`; what is returned is only of use when there are none.
    """
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(arg for arg in get_args(kind) if arg is not type(None))
        return None if data is None else parse(inner, data, place)
    if origin is tuple:
        return _tuple(get_args(kind)[0], data, place)
    if origin is Mapping or origin is getattr(Mapping, "__origin__", Mapping):
        key_kind, value_kind = get_args(kind)
        return _mapping(key_kind, value_kind, data, place)
    if is_dataclass(kind):
        return _record(kind, data, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind, data, place)
    return _scalar(kind, data, place)


def _tuple(item: Any, data: object, place: Place) -> tuple[Any, ...]:
    if not isinstance(data, list):
        place.wrong("a list", data)
        return ()
    return tuple(parse(item, value, place.below(number)) for number, value in enumerate(data, start=1))


def _mapping(key_kind: Any, value_kind: Any, data: object, place: Place) -> dict[Any, Any]:
    if not isinstance(data, dict):
        place.wrong("a mapping", data)
        return {}
    return {parse(key_kind, key, place.below(key)): _named(value_kind, key, data[key], place) for key in data}


def _named(kind: Any, key: object, data: object, place: Place) -> Any:
    """A mapping's value; a noun with a `name` takes it from its key."""
    value = parse(kind, data, place.below(key))
    return replace(value, name=str(key)) if is_dataclass(kind) and "name" in _defaulted(kind) and value else value


def _defaulted(kind: Any) -> set[str]:
    return {field.name for field in fields(kind) if _has_default(field)}


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _record(kind: Any, data: object, place: Place) -> Any:
    if not isinstance(data, dict):
        place.wrong("a mapping", data)
        return None
    hints, known = get_type_hints(kind), {field.name for field in fields(kind)}
    for key in data:
        if key not in known:
            place.below(key).wrong(f"one of {', '.join(sorted(known))}", "an unknown key")
    for name in sorted(known - _defaulted(kind) - set(data)):
        place.below(name).wrong(_words(hints[name]), None)
    values = {key: parse(hints[key], data[key], place.below(key)) for key in data if key in known}
    return kind(**values) if known - _defaulted(kind) <= set(data) else None


def _words(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(member.value for member in kind)}"
    if get_origin(kind) is tuple:
        return "a list"
    return SCALARS[kind][0] if kind in SCALARS else "a mapping"


def _enum(kind: type[Enum], data: object, place: Place) -> Any:
    for member in kind:
        if member.value == data:
            return member
    place.wrong(_words(kind), data)
    return None


def _scalar(kind: Any, data: object, place: Place) -> Any:
    words, convert = SCALARS[kind]
    value = convert(data)
    if value is None:
        place.wrong(words, data)
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
    """A date written YYYY-MM-DD and nothing else; None where it is not one."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _time(data: object) -> time | None:
    # Without quotes YAML reads 10:00 as the number 600.
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", data, re.ASCII) if isinstance(data, str) else None
    return time(int(found[1]), int(found[2])) if found else None


def as_span(data: object) -> timedelta | None:
    """A time span written 30m, 26h or 2d and nothing else; None where it is not one."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", data, re.ASCII) if isinstance(data, str) else None
    return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None


SCALARS: dict[Any, tuple[str, Callable[[object], Any]]] = {
    str: ("a string", _text),
    int: ("a whole number", _number),
    bool: ("true or false", _truth),
    date: ("a date YYYY-MM-DD", _day),
    time: ('a time of day such as "06:00"', _time),
    timedelta: ("a time span such as 30m, 26h or 2d", as_span),
}
