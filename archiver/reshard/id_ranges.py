"""Reserve ids on one shard for rows of another: above all that its sequences gave out, and never given out later."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.model import SHARD
from archiver.mapping.id_columns import id_columns, key_of
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Table, identifier
from archiver.postgres.selection import Selection, condition
from archiver.postgres.sequences import read_sequences
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from archiver.records import archive_record, month_record
from archiver.records.id_offsets import Offsets, Region, gaps, outside_all
from archiver.records.move_record import Route
from archiver.records.placement_history import regions, write_regions
from archiver.reshard.shard_rows import ShardRows
from errors import RefusedError

# Ids left free on both sides of a region: the live product takes some while we count, and the source's later ids shall
# fit in the same region.
ROOM = 1_000_000
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def reserved(databases: Databases, route: Route, highest: int = 0) -> Offsets:
    """Return the offsets of a route, for every id that the source has given out, and up to `highest`.

    Ids outside all regions get a new one: the target's sequences are set past it first, then it is recorded. An
    interruption in between only wastes ids. Raises RefusedError if a column of the target is too small for them.
    """
    existing = regions(databases.master, route.source, route.target)
    offsets = with_new(databases, route, highest)
    if new := sorted({*offsets} - {*existing}):
        _advance_sequences(databases, route.target, new[-1].upto + new[-1].plus)
        with databases.master.transaction(doing="writing the offsets"):
            write_regions(databases.master, route.source, route.target, new)
    return offsets


def with_new(databases: Databases, route: Route, highest: int = 0) -> Offsets:
    """Return the offsets that `reserved` would return, and reserve none. Raises the same RefusedError."""
    existing = regions(databases.master, route.source, route.target)
    upto = max(_highest_id(databases, route.source), highest) + ROOM
    plus = 0 if not existing and _are_disjoint(databases, route) else _highest_id(databases, route.target) + ROOM
    new = [Region(above, end, plus) for above, end in gaps(existing, upto)]
    if new:
        _refuse_beyond(databases, route, new[-1].upto + plus)
    return tuple(sorted({*existing, *new}))


def covered(databases: Databases, route: Route) -> bool:
    """True if each id of the source has its place in the target: archives are restored there by these offsets alone."""
    existing = regions(databases.master, route.source, route.target)
    return bool(existing) and not gaps(existing, _highest_id(databases, route.source))


def uncovered(tenant_rows: ShardRows, rows: Selection, offsets: Offsets) -> int:
    """Return the highest of a tenant's ids that is in no region; 0 if there is none."""
    schema, highest = tenant_rows.placement.schemas[SHARD], [0]
    for table in tenant_rows.model.tables:
        columns = [
            SQL("CASE WHEN {} THEN {} END").format(column.holds or SQL("true"), Identifier(column.name))
            for column in tenant_rows.id_columns[table.table]
        ]
        if columns:
            query = SQL("SELECT max(n) FROM (SELECT unnest(ARRAY[{}]::bigint[]) AS n FROM {} WHERE {}) r WHERE {}")
            row = tenant_rows.session.row(
                query.format(
                    SQL(", ").join(columns),
                    identifier(table.table),
                    condition(tenant_rows.model, schema, table, tenant_rows.tenant_id, rows.values),
                    outside_all(Identifier("n"), offsets),
                ),
                doing=f"reading the ids of {table}",
            )
            highest.append(row[0] or 0)
    return max(highest)


def _highest_id(databases: Databases, shard: str) -> int:
    """Return the highest id that a shard's sequences gave out or that a row has."""
    session, tables = databases.session(shard), databases.schema(shard).tables
    ends = [end for name, shape in tables.items() for end in _ends(name, shape, "max")]
    query = SQL("SELECT greatest({})").format(SQL(", ").join([SQL("0"), *ends]))
    given = (each.next - each.step for each in read_sequences(session, tables) if each.ascending)
    return max(int(session.row(query, doing="reading the highest ids")[0]), *given, 0)


def _ends(name: str, shape: Table, which: str) -> Iterator[Composable]:
    """SQL: the lowest or highest ids of a table."""
    for column in shape.copied:
        if column.name == key_of(shape):
            yield SQL("(SELECT {}({}) FROM {})").format(SQL(which), Identifier(column.name), identifier(name))


def _are_disjoint(databases: Databases, route: Route) -> bool:
    """True if all ids of the source are above the target's, and no older ones can be restored."""
    if archive_record.read_if_any(databases.master, shard=route.source) or month_record.of_shard(
        databases.master, route.source
    ):
        return False
    ends = [end for name, shape in databases.schema(route.source).tables.items() for end in _ends(name, shape, "min")]
    query = SQL("SELECT least({})").format(SQL(", ").join(ends)) if ends else SQL("SELECT NULL")
    lowest = databases.session(route.source).row(query, doing="reading the lowest ids")[0]
    return lowest is not None and int(lowest) > _highest_id(databases, route.target) + ROOM


def _refuse_beyond(databases: Databases, route: Route, highest: int) -> None:
    """Raise RefusedError if a column of the target cannot hold ids up to this one."""
    schema = databases.schema(route.target)
    small = [
        f"{name}.{column.name} ({column.type})"
        for name, columns in id_columns(databases.model, schema).items()
        for column in columns
        if _LARGEST.get(column.type, highest) < highest
    ]
    if small:
        raise RefusedError(
            f"Moving from {route.source} to {route.target} refused: ids up to {highest} do not fit in "
            f"{', '.join(small)}.",
            hint=f"Make these columns bigint on {route.target} first.",
        )


def _advance_sequences(databases: Databases, shard: str, highest: int) -> None:
    """Advance the sequences of a shard past an id; none is ever set back, so one that counts down is left."""
    session = databases.session(shard)
    for sequence in read_sequences(session, databases.schema(shard).tables):
        if sequence.ascending and sequence.next <= highest:
            query = SQL("SELECT setval({}::regclass, {}) FROM {} WHERE last_value < {} OR NOT is_called").format(
                Literal(sequence.name), Literal(highest), SQL(sequence.name), Literal(highest)
            )
            session.rows(query, doing=f"advancing {sequence.name}")
