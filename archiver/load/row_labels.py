"""Keys of rows as text: never what else a row holds."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.postgres.schema import Table
from archiver.postgres.session import SQL, Composable, Identifier

_NUMBERS = ("smallint", "integer", "bigint", "uuid")


def id_text(shape: Table, columns: Sequence[str], alias: str) -> Composable:
    """SQL: a row's key as text: 13, or 13,4 of several columns; a key of text is hidden: it may be a person's name."""
    if not columns or any(shape.type_of(name) not in _NUMBERS for name in columns):
        return SQL("'(not shown)'")
    return SQL("concat_ws(',', {})").format(SQL(", ").join(Identifier(alias, name) for name in columns))
