"""The databases that products are built in, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 (a class, named like a function)

from archiver.runs.context import Archiver
from tests.oracle import SETTINGS
from tests.properties.product import MASTER, SHARD, Product, Row, Table
from tests.properties.written import catalog, foreign_keys, quoted, script
from tests.worlds import World

EMPTY = """
SET client_min_messages = error;
DROP SCHEMA public CASCADE; DROP SCHEMA IF EXISTS archiver CASCADE; CREATE SCHEMA public;
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row as COPY says it, and the partition or table it lies in."""

    text: bytes
    leaf: str


@dataclass(frozen=True, kw_only=True)
class Built:
    """A product in its databases."""

    world: World
    lines: Mapping[Row, Line]


def build(shared_world: World, product: Product, catalog_file: Path) -> Built:
    """Make the product in place of whatever is there."""
    catalog_file.write_text(catalog(product), encoding="utf-8")
    names = (MASTER, *product.shards)
    databases = {name: shared_world.environment.databases[name] for name in names}
    environment = replace(shared_world.environment, databases=databases, catalog=str(catalog_file))
    lines: dict[Row, Line] = {}
    for name in names:
        with _cursor(shared_world.dsns[name]) as cursor:
            lines |= _fill(cursor, product, name)
    return Built(
        world=World(environment=environment, dsns={name: shared_world.dsns[name] for name in names}), lines=lines
    )


@contextmanager
def standing(world: World) -> Iterator[World]:
    """The same world with one archiver that stays open: to open one takes longer than to archive a tenant."""
    with world.archiver() as archiver:
        yield Standing(**vars(world), opened=archiver)


@dataclass(frozen=True, kw_only=True)
class Standing(World):
    """A world with one archiver for all that is done."""

    opened: Archiver

    @contextmanager
    def archiver(self, purpose: str = "test") -> Iterator[Archiver]:
        """The one that is open."""
        yield self.opened


@contextmanager
def _cursor(dsn: str) -> Iterator[Cursor]:
    link = psycopg2.connect(dsn)
    try:
        with link, link.cursor() as cursor:
            cursor.execute(SETTINGS)
            yield cursor
    finally:
        link.close()


def _fill(cursor: Cursor, product: Product, place: str) -> dict[Row, Line]:
    database = MASTER if place == MASTER else SHARD
    cursor.execute(EMPTY + script(product, database))
    lines: dict[Row, Line] = {}
    for table in product.tables.values():
        if table.database == database:
            rows = [row for row in product.rows if (row.table, row.place) == (table.path, place)]
            lies = {_insert(cursor, table, row): row for row in rows}
            lines |= {lies[where]: line for where, line in _read(cursor, table)}
            _number(cursor, table)
    cursor.execute(foreign_keys(product, database) or "SELECT")
    return lines


def _insert(cursor: Cursor, table: Table, row: Row) -> tuple[str, str]:
    """Return the row's place now: its partition, and its position there."""
    names = ", ".join(map(quoted, row.cells)).replace("%", "%%")
    values = ", ".join(["%s"] * len(row.cells))
    target = quoted(table.name).replace("%", "%%")
    cursor.execute(
        f"INSERT INTO public.{target} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"
        " RETURNING tableoid::text, ctid::text",
        list(row.cells.values()),
    )
    [where] = cursor.fetchall()
    return where


class _Lines(list[bytes]):
    """A sink for COPY, which writes one row at a time."""

    write = list.append


def _read(cursor: Cursor, table: Table) -> Iterator[tuple[tuple[str, str], Line]]:
    names = ", ".join(quoted(column.name) for column in table.columns)
    sink = _Lines()
    cursor.copy_expert(
        f"COPY (SELECT t.tableoid, t.ctid, c.relname, {names} FROM public.{quoted(table.name)} t"
        " JOIN pg_class c ON c.oid = t.tableoid) TO STDOUT",
        sink,
    )
    for text in sink:
        oid, ctid, leaf, line = text.split(b"\t", 3)
        yield (oid.decode(), ctid.decode()), Line(text=line, leaf=leaf.decode())


def _number(cursor: Cursor, table: Table) -> None:
    """Set sequences where the application would have left them."""
    target = f"public.{quoted(table.name)}"
    for name in [column.name for column in table.columns if column.numbered]:
        cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (target, name))
        [[sequence]] = cursor.fetchall()
        cursor.execute(f"SELECT greatest(1, max({quoted(name)})) FROM {target}")
        [[highest]] = cursor.fetchall()
        cursor.execute("SELECT setval(%s, %s)", (sequence, highest))
