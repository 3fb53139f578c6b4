"""The ledger, in master: each object in the store, or planned, of whatever kind, and the tenants in a month's object.

This module alone writes it. Everything is written in sets, and a set of one is a set. A row is a mapping of columns to
plain data; PostgreSQL converts each value to its column's type.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol

from archiver.format.manifest import Member
from archiver.postgres.operator import host, operator
from archiver.postgres.session import Session
from archiver.records.state import Kind, State
from errors import RefusedError
from inventory.keys import Key, key_of_text

Row = Mapping[str, object]


class Placed(Protocol):
    """A record of an object in the store."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def location(self) -> str:
        """Where it lies."""

    @property
    def recipients(self) -> tuple[str, ...]:
        """The age public keys that it is encrypted to."""


NOW = "now"  # the time of the transaction, in a column of times


def read(
    session: Session, kind: Kind, columns: Mapping[str, str], condition: str, args: Sequence[object] = ()
) -> list[dict[str, Any]]:
    """Return the records of a kind that meet a condition, by id, as dicts of what `columns` names.

    Raise RefusedError for a state or a key that is none.
    """
    listed = ", ".join(("id", "key", "state", *columns.values()))
    query = f"SELECT {listed} FROM archiver.archives WHERE kind = %s AND {condition} ORDER BY id"  # noqa: S608 - all of it is the archiver's own words
    records = []
    for number, key, state, *values in session.rows(query, (kind.value, *args), doing=f"reading the {_PLURALS[kind]}"):
        typed = {"key": key_in(session, kind, number, key), "state": _state(session, kind, number, state)}
        records.append(
            {name: typed.get(column, value) for (name, column), value in zip(columns.items(), values, strict=True)}
        )
    return records


def columns_of(view: type, **renamed: str) -> dict[str, str]:
    """Return the columns of a view's fields, by their names; `renamed` has those with another name."""
    return {each.name: renamed.get(each.name, each.name) for each in fields(view)}


def refuse_unknown_kinds(session: Session) -> None:
    """Raise RefusedError if the ledger has a record of a kind that this version does not know."""
    kinds = [kind.value for kind in Kind]
    query = "SELECT id, kind FROM archiver.archives WHERE kind <> ALL(%s) ORDER BY id LIMIT 1"
    if row := session.row(query, (kinds,), doing="looking for records of unknown kinds"):
        raise _unreadable(session, f"record {row[0]}", f"kind: expected one of {', '.join(kinds)}, got {row[1]!r}")


def new_purge(session: Session) -> int:
    """Return the number of the next purge: its id, and its key."""
    return int(session.row("SELECT nextval('archiver.purge_numbers')", doing="numbering a purge")[0])


def new_turn(session: Session) -> int:
    """Return the next turn: the place of an act among all archives, months, moves and merges."""
    return int(session.row("SELECT nextval('archiver.turns')", doing="taking a turn")[0])


def skip_ids(session: Session, last: int) -> None:
    """Give out no id up to this one: the records that had them may be adopted under their own."""
    _skip(session, "pg_get_serial_sequence('archiver.archives', 'id')", last)


def skip_turns(session: Session, last: int) -> None:
    """Give out no turn up to this one: the records that had them may be adopted with their own."""
    _skip(session, "'archiver.turns'", last)


def skip_purges(session: Session, last: int) -> None:
    """Number no purge up to this one: the purge that had the number is adopted under it."""
    _skip(session, "'archiver.purge_numbers'", last)


def _skip(session: Session, sequence: str, last: int) -> None:
    """Set a sequence past a number, unless it is; PostgreSQL numbers from 1."""
    last_value = f"pg_sequence_last_value(({sequence})::regclass)"
    query = f"SELECT setval({sequence}, %s) WHERE coalesce({last_value}, 0) < %s"
    session.rows(query, (last, last), doing="skipping numbers")


def insert(session: Session, kind: Kind, state: State, rows: Sequence[Row]) -> list[int]:
    """Write new records, which have the same columns. Return their ids."""
    if not rows:
        return []
    given = {"kind": kind.value, "state": state.value, "operator": operator(), "host": host()}
    names = ", ".join((*given, *rows[0]))
    query = f"INSERT INTO archiver.archives ({names}) SELECT {names} {_GIVEN} RETURNING id"
    args = (json.dumps([{**row, **given} for row in rows], default=str),)
    return [row[0] for row in session.rows(query, args, doing=_doing(kind, state))]


def advance(session: Session, kind: Kind, state: State, rows: Sequence[Row], since: Collection[State] = ()) -> int:
    """Write a state and the given columns of the records whose ids the rows have. Return the number of records.

    The rows have the same columns. Records in another state than those of `since` stay as they are; empty: any.
    """
    if not rows:
        return 0
    with_state = [{**row, "state": state.value} for row in rows]
    return _update(session, kind, with_state, [each.value for each in since or State], _doing(kind, state))


def update(session: Session, kind: Kind, rows: Sequence[Row]) -> int:
    """Write the given columns as `advance` does, and no state. Return the number of records."""
    every = [state.value for state in State]
    return _update(session, kind, rows, every, f"writing the records of {_PLURALS[kind]}") if rows else 0


def delete(session: Session, kind: Kind, condition: str, args: Sequence[object], *, doing: str) -> None:
    """Delete the records of a kind that meet a condition, with their members."""
    query = f"DELETE FROM archiver.archives a WHERE kind = %s AND {condition}"  # noqa: S608 - all of it is the archiver's own words
    session.execute(query, (kind.value, *args), doing=doing)


def ids(rows: Iterable[int], **columns: object) -> list[Row]:
    """Return a row for each id, with the same columns."""
    return [{"id": each, **columns} for each in rows]


def key_in(session: Session, kind: Kind, record_id: int, text: str) -> Key:
    """Return the key of a record, or of a tenant in it; raise RefusedError if it is none."""
    try:
        return key_of_text(text)
    except ValueError as error:
        raise _unreadable(session, f"{kind.value} {record_id}", f"key: expected a key in JSON, got {text!r}") from error


def plain(members: Mapping[str, Member]) -> dict[str, dict[str, Any]]:
    """Return the members of a tarball as plain data."""
    return {name: vars(member) for name, member in members.items()}


def members_of(written: Mapping[str, dict[str, Any]]) -> dict[str, Member]:
    """Return the members that `plain` wrote."""
    return {name: Member(**member) for name, member in written.items()}


def stored_object(record: Placed) -> dict[str, object]:
    """Return the columns that tell where an object lies, and what it is."""
    columns = ("location", "size", "md5", "sha256", "etag", "version_id")
    return {**{name: getattr(record, name) for name in columns}, "recipients": list(record.recipients)}


def _update(session: Session, kind: Kind, rows: Sequence[Row], since: Sequence[str], doing: str) -> int:
    settings = ", ".join(f"{name} = w.{name}" for name in rows[0] if name != "id")
    condition = "a.kind = %s AND a.id = w.id AND a.state = ANY(%s)"
    query = f"UPDATE archiver.archives a SET {settings} {_GIVEN} WHERE {condition}"  # noqa: S608 - all of it is the archiver's own words
    return session.execute(query, (json.dumps(rows, default=str), kind.value, since), doing=doing)


def _state(session: Session, kind: Kind, record_id: int, word: str) -> State:
    try:
        return State(word)
    except ValueError as error:
        problem = f"state: expected one of {', '.join(state.value for state in State)}, got {word!r}"
        raise _unreadable(session, f"{kind.value} {record_id}", problem) from error


def _unreadable(session: Session, record: str, problem: str) -> RefusedError:
    return RefusedError(
        f"Reading the ledger on {session.where} refused: archiver.archives, {record}, {problem}.",
        hint="Was it changed by hand? Set it back in archiver.archives. Nothing was changed.",
    )


def _doing(kind: Kind, state: State) -> str:
    return f"writing the state {state.value} of {_PLURALS[kind]}"


_GIVEN = "FROM jsonb_populate_recordset(NULL::archiver.archives, %s::jsonb) w"
_PLURALS = {Kind.TENANT: "archives", Kind.MONTH: "months", Kind.PURGE: "purges", Kind.MOVE: "moves"}
