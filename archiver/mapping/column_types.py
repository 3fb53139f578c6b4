"""Column types and their archived text: an enum's labels, and the type changes that lose nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from archiver.postgres.schema import NAMESPACE

Types = Mapping[str, str]  # a schema's own types: name and DDL
_ENUM = re.compile(r"CREATE TYPE .+? AS ENUM \((.*)\)", re.DOTALL)
_LITERAL = re.compile(r"( ?E)?'((?:[^']|'')*)'")
_DOMAIN = re.compile(r"CREATE DOMAIN .+? AS (.+?)(?: CONSTRAINT .*)?", re.DOTALL)
_SIZED = re.compile(r"(numeric|character varying)\((\d+)(?:,(\d+))?\)")
# In each row, a type can hold every value of the types before it.
_ROWS = (
    ("smallint", "integer", "bigint", "numeric"),
    ("smallint", "integer", "double precision"),
    ("real", "double precision"),
    ("boolean", "integer"),
    ("date", "timestamp without time zone"),
    ("json", "jsonb"),
)


def labels(types: Types, name: str) -> tuple[str, ...] | None:
    """Return an enum's labels; None for any other type."""
    enum = _ENUM.fullmatch(types.get(name, ""))
    return tuple(_unquoted(*literal) for literal in _LITERAL.findall(enum[1])) if enum else None


def plain(types: Types, name: str) -> str:
    """Return the built-in type that reads a value where the schema's own types do not exist."""
    if name.endswith("[]"):
        return f"{plain(types, name.removesuffix('[]'))}[]"
    ddl = types.get(name, "")
    domain = _DOMAIN.fullmatch(ddl)
    if domain:
        return plain(types, domain[1])
    return "text" if ddl else name


def without_namespace(name: str) -> str:
    """Return a type as a person writes it: user_role for public.user_role."""
    return name.removeprefix(f"{NAMESPACE}.")


def takes_all(old: str, new: str) -> bool:
    """True if one built-in type certainly holds every value of another, and returns it unchanged."""
    if new in (old, "text", "character varying"):
        return True
    old_sized, new_sized = _SIZED.fullmatch(old), _SIZED.fullmatch(new)
    if old_sized and new_sized:
        return old_sized[1] == new_sized[1] and _wider(old_sized, new_sized)
    kind = old_sized[1] if old_sized else old
    return kind == new or any(_before(row, kind, new) for row in _ROWS)


def depends_on_zone(old: str, new: str) -> bool:
    """True if a value of one type becomes one of the other by a time zone, which the archive cannot know."""
    return (_zoned(old) and _local(new)) or (_local(old) and _zoned(new))


def _zoned(kind: str) -> bool:
    return "with time zone" in kind


def _local(kind: str) -> bool:
    return "without time zone" in kind or kind.removesuffix("[]") == "date"


def _wider(old: re.Match[str], new: re.Match[str]) -> bool:
    old_scale, new_scale = int(old[3] or 0), int(new[3] or 0)
    return new_scale >= old_scale and int(new[2]) - new_scale >= int(old[2]) - old_scale


def _before(row: tuple[str, ...], old: str, new: str) -> bool:
    return old in row and new in row and row.index(old) < row.index(new)


def _unquoted(escaped: str, text: str) -> str:
    text = text.replace("''", "'")
    return text.replace("\\\\", "\\") if escaped else text
