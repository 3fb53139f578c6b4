"""The schema of a database's tables as PostgreSQL's catalog has it, with its DDL and fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import Any

from archiver.catalog.graph import reachable
from archiver.postgres.session import SQL, Composed, Identifier, Session
from errors import Problems

WHOLE_NUMBERS = ("smallint", "integer", "bigint")

NAMESPACE = "public"  # the namespace of the product's tables
TENANT = "tenant of the row"  # a column that this tool adds, where one table holds the rows of many tenants


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, as far as writing and reading rows depends on it."""

    name: str
    type: str  # with its modifiers, as format_type returns it
    not_null: bool
    identity: bool
    generated: str | None  # the expression; a generated column is never copied
    sequence: str | None  # the sequence that the column owns, if any


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """A foreign key of a table."""

    name: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The columns and constraints of a table."""

    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]  # empty: rows have no identity, and may occur more than once
    constraints: Mapping[str, str]  # name: definition of primary key, unique and check constraints
    foreign_keys: tuple[ForeignKey, ...]

    @property
    def copied(self) -> tuple[Column, ...]:
        """The columns that COPY writes and reads: all but the generated ones."""
        return tuple(column for column in self.columns if column.generated is None)

    def type_of(self, name: str) -> str:
        """Return the type of a column."""
        return next(column.type for column in self.columns if column.name == name)


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The tables of the model in one database, and the types they use."""

    tables: Mapping[str, Table]
    types: Mapping[str, str]  # DDL of each enum and domain they use, by name, in the order of creation

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """Return the schema that `to_json` wrote; equal data gives the same object."""
        return _schema(json.dumps(data))

    # Cached: it is needed once a tenant, for the same schema.
    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the schema: equal schemas have equal fingerprints."""
        return hashlib.sha256(json.dumps(self._shape, default=vars, sort_keys=True).encode()).hexdigest()

    @cached_property
    def text(self) -> str:
        """The schema as text, as a manifest holds it."""
        return json.dumps(self._shape, default=vars, sort_keys=True, indent=1, ensure_ascii=False)

    @property
    def _shape(self) -> dict[str, Any]:
        """The same data as `to_json`, without its costly copies."""
        return {"tables": self.tables, "types": self.types}

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def identifier(table: str) -> Composed:
    """Return a table of the product, qualified with its namespace."""
    return SQL("{}.{}").format(Identifier(NAMESPACE), Identifier(table))


def column_list(table: Table, *alias: str) -> Composed:
    """Return the copied columns, for COPY and INSERT."""
    return SQL(", ").join(Identifier(*alias, column.name) for column in table.copied)


def row_text(names: Iterable[str], *alias: str) -> Composed:
    """SQL: these columns of a row as one text."""
    return SQL("ROW({})::text").format(SQL(", ").join(Identifier(*alias, name) for name in names))


def read_schema(session: Session, tables: Iterable[str]) -> Schema:
    """Read the schema of these tables, in a fixed number of queries; raise Problems if a table does not exist."""
    names = list(tables)
    columns = _grouped(session.rows(_COLUMNS, (NAMESPACE, names), doing="reading the columns"))
    constraints = _grouped(session.rows(_CONSTRAINTS, (NAMESPACE, names), doing="reading the constraints"))
    missing = [f"{name}: no such table in {session.where}" for name in names if name not in columns]
    if missing:
        raise Problems("The catalog names tables that do not exist:", missing)
    return Schema(
        types=dict(session.rows(_TYPES, (NAMESPACE, names), doing="reading the types")),
        tables={name: _shape(columns[name], constraints.get(name, [])) for name in names},
    )


def _grouped(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for table, *rest in rows:
        grouped.setdefault(table, []).append(tuple(rest))
    return grouped


def _shape(columns: list[tuple[Any, ...]], constraints: list[tuple[Any, ...]]) -> Table:
    keys = ("name", "type", "not_null", "identity", "generated", "sequence")
    primary: list[str] = next((row[3] for row in constraints if row[1] == "p"), [])
    return Table(
        columns=tuple(Column(**dict(zip(keys, row, strict=True))) for row in columns if row[0] is not None),
        primary_key=tuple(primary),
        constraints={row[0]: row[2] for row in constraints if row[1] != "f"},
        foreign_keys=tuple(
            ForeignKey(name=row[0], columns=tuple(row[3]), target=row[4], target_columns=tuple(row[5]))
            for row in constraints
            if row[1] == "f"
        ),
    )


@lru_cache(maxsize=16)
def _schema(text: str) -> Schema:
    data = json.loads(text)
    return Schema(types=dict(data["types"]), tables={name: _table(table) for name, table in data["tables"].items()})


def _table(data: Mapping[str, Any]) -> Table:
    return Table(
        columns=tuple(Column(**column) for column in data["columns"]),
        primary_key=tuple(data["primary_key"]),
        constraints=dict(data["constraints"]),
        foreign_keys=tuple(
            ForeignKey(
                name=key["name"],
                columns=tuple(key["columns"]),
                target=key["target"],
                target_columns=tuple(key["target_columns"]),
            )
            for key in data["foreign_keys"]
        ),
    )


def load_order(schema: Schema) -> tuple[tuple[str, ...], ...]:
    """Return groups of tables in loading order: referenced tables first; a cycle of foreign keys is one group."""
    tables = schema.tables
    targets = {name: {key.target for key in tables[name].foreign_keys} & set(tables) for name in tables}
    beyond = {name: reachable(name, targets) for name in targets}
    groups = {
        name: tuple(other for other in targets if other == name or (other in beyond[name] and name in beyond[other]))
        for name in targets
    }
    order: list[tuple[str, ...]] = []
    placed: set[str] = set()
    while waiting := [name for name in targets if name not in placed]:
        group = next(groups[name] for name in waiting if beyond[name] <= placed.union(groups[name]))
        order.append(group)
        placed.update(group)
    return tuple(order)


def ddl(schema: Schema) -> tuple[str, ...]:
    """Return the statements that create these tables, empty: columns, keys and checks.

    Defaults, sequences, triggers and foreign keys are left out: rows can be loaded and compared without them.
    """
    return (*schema.types.values(), *(_create(name, table) for name, table in schema.tables.items()))


def _create(name: str, table: Table) -> str:
    lines = [column_ddl(column) for column in table.columns]
    lines += [f"CONSTRAINT {quoted(key)} {text}" for key, text in table.constraints.items()]
    return f"CREATE TABLE {quoted(NAMESPACE)}.{quoted(name)} (\n    " + ",\n    ".join(lines) + "\n)"


def column_ddl(column: Column) -> str:
    """Return a column as CREATE TABLE has it."""
    text = f"{quoted(column.name)} {column.type}"
    text += f" GENERATED ALWAYS AS ({column.generated}) STORED" if column.generated else ""
    return text + (" NOT NULL" if column.not_null else "")


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


# A table may have no column: then its one row here is all NULL.
_COLUMNS = """
SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity <> '',
       CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
       pg_catalog.pg_get_serial_sequence(pg_catalog.format('%%I.%%I', n.nspname, c.relname), a.attname)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p')
 ORDER BY c.relname, a.attnum
"""

# NOT NULL constraints ('n', PostgreSQL 18) are read with the columns.
_CONSTRAINTS = """
SELECT c.relname, k.conname, k.contype::text, pg_catalog.pg_get_constraintdef(k.oid),
       (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.conkey) WITH ORDINALITY p(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number),
       (SELECT t.relname FROM pg_catalog.pg_class t WHERE t.oid = k.confrelid),
       (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.confkey) WITH ORDINALITY p(number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number)
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s) AND k.contype IN ('p', 'u', 'c', 'f') AND k.conparentid = 0
 ORDER BY c.relname, k.contype = 'p' DESC, k.conname
"""

# Enums first, then domains, which may use enums or arrays of them; an array type stands for its element type.
_TYPES = """
WITH RECURSIVE wanted AS (
    SELECT a.atttypid AS oid
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname = %s AND c.relname = ANY(%s)
    UNION
    SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END
      FROM wanted JOIN pg_catalog.pg_type t USING (oid)
     WHERE t.typtype = 'd' OR t.typcategory = 'A'
)
SELECT pg_catalog.format_type(t.oid, NULL),
       CASE t.typtype
       WHEN 'e' THEN pg_catalog.format('CREATE TYPE %%s AS ENUM (%%s)', pg_catalog.format_type(t.oid, NULL),
            (SELECT string_agg(pg_catalog.quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
               FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid))
       ELSE pg_catalog.format('CREATE DOMAIN %%s AS %%s%%s', pg_catalog.format_type(t.oid, NULL),
            pg_catalog.format_type(t.typbasetype, t.typtypmod),
            (SELECT string_agg(' CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' '
                               || pg_catalog.pg_get_constraintdef(k.oid), '' ORDER BY k.conname)
               FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid))
       END
  FROM pg_catalog.pg_type t
  JOIN wanted USING (oid)
 WHERE t.typtype IN ('e', 'd')
 ORDER BY t.typtype DESC, t.oid
"""
