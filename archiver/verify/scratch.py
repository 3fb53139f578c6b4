"""The scratch database, where archives are loaded to verify them: bare tables of their shape."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from archiver.postgres.schema import NAMESPACE, TENANT, Schema, Table, column_ddl, quoted
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier, Session

# A literal or a quoted name, in which nothing is a namespace.
_QUOTED = r"""('(?:[^']|'')*'|"(?:[^"]|"")*")"""


class ScratchDatabase:
    """A session on the scratch database with bare tables, made when a shape is first used.

    The tables are temporary: invisible to other sessions, not logged, and dropped when the session ends. Between
    verifications they are empty.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        # Verify a batch in memory: without this, every query over its rows would go through files.
        session.execute("SET temp_buffers TO '128MB'; SET work_mem TO '64MB'", doing="preparing the scratch session")
        self._types: dict[str, str] = {}
        self._tables: dict[str, Mapping[str, Composable]] = {}  # by the schema's fingerprint, then by table

    @contextmanager
    def empty(self, schema: Schema) -> Iterator[Mapping[str, Composable]]:
        """Yield the tables of a shape, by name; they are empty at the start of the block and after it.

        A table that is emptied and filled in one transaction returns its rows in the order in which they were loaded.
        """
        tables = self._of(schema)
        with self.session.rolled_back():
            if tables:
                self.session.execute(
                    SQL("TRUNCATE {}").format(SQL(", ").join(tables.values())), doing="emptying the scratch tables"
                )
            yield tables

    def refusals(self, schema: Schema) -> Mapping[str, str]:
        """Return the tables of a shape that cannot be made, each with the reason; none if all can."""
        if self._refusal(schema) is None:
            return {}
        alone = {
            name: self._refusal(Schema(tables={name: shape}, types=_used(shape, schema.types)))
            for name, shape in schema.tables.items()
        }
        return {name: reason for name, reason in alone.items() if reason is not None}

    def _refusal(self, schema: Schema) -> str | None:
        """Return why the tables of a shape cannot be made; None if they can, or are made already."""
        try:
            self._of(schema)
        except DatabaseError as error:
            if error.lost:
                raise
            return str(error)
        return None

    def _of(self, schema: Schema) -> Mapping[str, Composable]:
        if any(self._types.get(name, text) != text for name, text in schema.types.items()):
            self.session.execute("DISCARD TEMP", doing="dropping the scratch tables")
            self._types.clear()
            self._tables.clear()
        if schema.fingerprint not in self._tables:
            self._tables[schema.fingerprint] = self._made(schema)
        return self._tables[schema.fingerprint]

    def _made(self, schema: Schema) -> Mapping[str, Composable]:
        # The number comes first: PostgreSQL cuts long names, and two that begin alike would be one.
        made = sum(map(len, self._tables.values()))
        names = {table: f"{number} {table}" for number, table in enumerate(schema.tables, made)}
        with self.session.transaction(doing="making the scratch tables"):
            for name, text in schema.types.items():
                if name not in self._types:
                    self.session.execute(_in_pg_temp(text, schema.types), doing="making a type in the scratch database")
            for table, shape in schema.tables.items():
                bare = _bare(names[table], shape, schema.types)
                self.session.execute(bare, doing="making a table in the scratch database")
        self._types |= schema.types
        return {table: Identifier("pg_temp", name) for table, name in names.items()}


def _used(shape: Table, types: Mapping[str, str]) -> Mapping[str, str]:
    """Return the types that a table uses, and those that these use."""
    texts = [column.type for column in shape.columns]
    used: set[str] = set()
    while more := {name for name in types if name not in used and any(name in text for text in texts)}:
        used |= more
        texts += [types[name] for name in more]
    return {name: text for name, text in types.items() if name in used}


def _bare(name: str, shape: Table, types: Collection[str]) -> str:
    lines = [f"{quoted(TENANT)} bigint NOT NULL", *map(column_ddl, shape.columns)]
    lines += [f"CONSTRAINT {quoted(key)} {text}" for key, text in shape.constraints.items() if text.startswith("CHECK")]
    return f"CREATE TABLE pg_temp.{quoted(name)} (\n    " + _in_pg_temp(",\n    ".join(lines), types) + "\n)"


def _in_pg_temp(text: str, types: Collection[str]) -> str:
    """Return DDL in which the product's own types are the session's; an extension's type is the database's."""
    own = [re.escape(name.removeprefix(f"{NAMESPACE}.")) for name in types if name.startswith(f"{NAMESPACE}.")]
    if not own:
        return text
    name = re.compile(rf"{_QUOTED}|\b{NAMESPACE}\.({'|'.join(own)})(?!\w)")
    return name.sub(lambda match: match[1] or f"pg_temp.{match[2]}", text)
