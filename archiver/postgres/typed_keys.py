"""Keys as an operator types them, read by the types of the live table's columns."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.postgres.schema import identifier
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier, Literal, Session
from errors import UsageError
from formatting import with_article
from inventory.keys import Key, key_of, typed, values_of

_DATA = "22"  # the class of errors about values: PostgreSQL cannot read this text as a value of the type


def key_typed(session: Session, noun: str, table: str, columns: Sequence[str], word: str) -> Key:
    """Return the key that a typed word means, by the types of the table's columns; raise UsageError if it is none."""
    try:
        values = values_of(word, len(columns))
    except ValueError:
        raise _no_key(session, noun, table, columns, word) from None
    # A value without a type takes the column's, which so reads it: no row is read.
    typed_values = SQL(", ").join(
        SQL("coalesce({}, (SELECT {} FROM {} LIMIT 0))").format(Literal(value), Identifier(name), identifier(table))
        for name, value in zip(columns, values, strict=True)
    )
    try:
        [row] = session.keys(SQL("SELECT {}").format(typed_values), doing=f"reading the key {word}")
    except DatabaseError as error:
        if error.code[:2] != _DATA:
            raise
        raise _no_key(session, noun, table, columns, word) from None
    return key_of(row)


def _no_key(session: Session, noun: str, table: str, columns: Sequence[str], word: str) -> UsageError:
    """Return the error for a word that is no key; its hint shows a live row's."""
    listed: Composable = SQL(", ").join(map(Identifier, columns))
    query = SQL("SELECT {} FROM {} ORDER BY {} LIMIT 1").format(listed, identifier(table), listed)
    rows = session.keys(query, doing=f"reading {table}")
    return UsageError(
        f"{noun}: expected {' and '.join(columns)} of {with_article(noun)}, got {word!r}.",
        hint=f"Example: {typed(key_of(rows[0]))}" if rows else "",
    )
