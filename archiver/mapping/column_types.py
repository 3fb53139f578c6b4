"""What a column's type means for its archived text: an enum's labels, and which change loses nothing; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from archiver.postgres.schema import NAMESPACE

Types = Mapping[str, str]  # a schema's own types: name and DDL
_ENUM = re.compile(r"CREATE TYPE .+? AS ENUM \((.*)\)", re.DOTALL)
_LITERAL = re.compile(r"( ?E)?'((?:[^']|'')*)'")
_DOMAIN = re.compile(r"CREATE DOMAIN .+? AS (.+?)(?: CONSTRAINT .*)?", re.DOTALL)
_SIZED = re.compile(r"(numeric|character varying)\((\d+)(?:,(\d+))?\)")
# Each takes every value of those before it.
_ROWS = (
    ("smallint", "integer", "bigint", "numeric"),
    ("smallint", "integer", "double precision"),
    ("real", "double precision"),
    ("boolean", "integer"),
    ("date", "timestamp without time zone"),
    ("date", "timestamp with time zone"),
    ("timestamp without time zone", "timestamp with time zone"),  # sessions are pinned to UTC
    ("json", "jsonb"),
)


def labels(types: Types, name: str) -> tuple[str, ...] | None:
    """An enum's labels; None for any other type."""
    found = _ENUM.fullmatch(types.get(name, ""))
    return tuple(_unquoted(*literal) for literal in _LITERAL.findall(found[1])) if found else None


def plain(types: Types, name: str) -> str:
    """The type of PostgreSQL's own by which a value can be read where the schema's own types are not at hand."""
    if name.endswith("[]"):
        return f"{plain(types, name.removesuffix('[]'))}[]"
    ddl = types.get(name, "")
    domain = _DOMAIN.fullmatch(ddl)
    if domain:
        return plain(types, domain[1])
    return "text" if ddl else name


def without_namespace(name: str) -> str:
    """A type as a person writes it: user_role for public.user_role."""
    return name.removeprefix(f"{NAMESPACE}.")


def takes_all(old: str, new: str) -> bool:
    """Whether a type of PostgreSQL's own surely takes every value of another, and gives it back."""
    if new in (old, "text", "character varying"):
        return True
    one, other = _SIZED.fullmatch(old), _SIZED.fullmatch(new)
    if one and other:
        return one[1] == other[1] and _wider(one, other)
    kind = one[1] if one else old
    return kind == new or any(_before(row, kind, new) for row in _ROWS)


def _wider(one: re.Match[str], other: re.Match[str]) -> bool:
    places, more = int(one[3] or 0), int(other[3] or 0)
    return more >= places and int(other[2]) - more >= int(one[2]) - places


def _before(row: tuple[str, ...], old: str, new: str) -> bool:
    return old in row and new in row and row.index(old) < row.index(new)


def _unquoted(escaped: str, text: str) -> str:
    text = text.replace("''", "'")
    return text.replace("\\\\", "\\") if escaped else text
