"""Numbers of one shard kept free for ids of another: beyond all that its sequences gave out, and never to be given."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.model import SHARD
from archiver.mapping.id_columns import id_columns, key_of
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema, Table, identifier
from archiver.postgres.selection import Selection, condition
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from archiver.records import archive_record, month_record
from archiver.records.id_offsets import Offsets, Region, gaps, outside_all
from archiver.records.move_record import Route
from archiver.records.placement_history import regions
from archiver.reshard.shard_rows import ShardRows
from errors import RefusedError

# Numbers left free on both sides of a region: a live product takes some while we count, and later ones of the source
# shall find a place in the same region.
ROOM = 1_000_000
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def reserved(databases: Databases, route: Route, highest: int = 0) -> Offsets:
    """The offsets of a way, over every id that the source gave out until now, and up to `highest`.

    What no region holds yet gets one: the target's sequences are moved past it, then it is written down. Cut off in
    between, nothing but numbers is lost. Raises RefusedError where a column of the target has no place for them.
    """
    known = regions(databases.master, route.source, route.target)
    upto = max(_top(databases, route.source), highest) + ROOM
    plus = 0 if not known and _lie_apart(databases, route) else _top(databases, route.target) + ROOM
    new = [Region(above, end, plus) for above, end in gaps(known, upto)]
    if new:
        _refuse_beyond(databases, route, upto + plus)
        _pass(databases, route.target, upto + plus)
        _write(databases, route, new)
    return tuple(sorted({*known, *new}))


def covered(databases: Databases, route: Route) -> bool:
    """Whether each id that the source gave out has its place in the target: archives come back there by these alone."""
    known = regions(databases.master, route.source, route.target)
    return bool(known) and not gaps(known, _top(databases, route.source))


def uncovered(one: ShardRows, rows: Selection, offsets: Offsets) -> int:
    """The highest number among a tenant's ids that no region holds; 0 where there is none."""
    schema, found = one.placement.schemas[SHARD], [0]
    for table in one.model.tables:
        columns = [
            SQL("CASE WHEN {} THEN {} END").format(each.holds or SQL("true"), Identifier(each.name))
            for each in one.numbered[table.table]
        ]
        if columns:
            query = SQL("SELECT max(n) FROM (SELECT unnest(ARRAY[{}]::bigint[]) AS n FROM {} WHERE {}) r WHERE {}")
            row = one.session.row(
                query.format(
                    SQL(", ").join(columns),
                    identifier(table.table),
                    condition(one.model, schema, table, one.tenant_id, rows.values),
                    outside_all(Identifier("n"), offsets),
                ),
                doing=f"reading the ids of {table}",
            )
            found.append(row[0] or 0)
    return max(found)


def _top(databases: Databases, shard: str) -> int:
    """The highest number that a shard's sequences gave out, or that an id has."""
    ends = [end for name, shape in databases.schema(shard).tables.items() for end in _ends(name, shape, "max")]
    query = SQL("SELECT greatest(0, {})").format(SQL(", ").join(ends))
    return int(databases.session(shard).row(query, doing="reading the highest ids")[0])


def _ends(name: str, shape: Table, which: str) -> Iterator[Composable]:
    for column in shape.copied:
        if column.sequence and which == "max":
            yield SQL("(SELECT last_value FROM {})").format(SQL(column.sequence))
        if column.name == key_of(shape):
            yield SQL("(SELECT {}({}) FROM {})").format(SQL(which), Identifier(column.name), identifier(name))


def _lie_apart(databases: Databases, route: Route) -> bool:
    """Whether no id of the source can be one of the target: all are higher, and nothing older can come back."""
    if archive_record.read_if_any(databases.master, shard=route.source) or month_record.of_shard(
        databases.master, route.source
    ):
        return False
    ends = [end for name, shape in databases.schema(route.source).tables.items() for end in _ends(name, shape, "min")]
    query = SQL("SELECT least({})").format(SQL(", ").join(ends)) if ends else SQL("SELECT NULL")
    lowest = databases.session(route.source).row(query, doing="reading the lowest ids")[0]
    return lowest is not None and int(lowest) > _top(databases, route.target) + ROOM


def _refuse_beyond(databases: Databases, route: Route, highest: int) -> None:
    schema = databases.schema(route.target)
    small = [
        f"{name}.{column.name} ({column.type})"
        for name, columns in id_columns(databases.model, schema).items()
        for column in columns
        if _LARGEST.get(column.type, highest) < highest
    ]
    if small:
        raise RefusedError(
            f"Moving from {route.source} to {route.target} refused: ids up to {highest} have no place in "
            f"{', '.join(small)}.",
            hint=f"Make these columns bigint on {route.target} first.",
        )


def _pass(databases: Databases, shard: str, highest: int) -> None:
    """Moves the sequences of a shard past a number; none is ever set back."""
    for sequence in _sequences(databases.schema(shard)):
        query = SQL("SELECT setval({}::regclass, {}) FROM {} WHERE last_value < {}").format(
            Literal(sequence), Literal(highest), SQL(sequence), Literal(highest)
        )
        databases.session(shard).rows(query, doing=f"moving {sequence} on")


def _sequences(schema: Schema) -> list[str]:
    return [column.sequence for shape in schema.tables.values() for column in shape.copied if column.sequence]


def _write(databases: Databases, route: Route, new: list[Region]) -> None:
    with databases.master.transaction(doing="writing the offsets"):
        for region in new:
            databases.master.execute(
                "INSERT INTO archiver.regions (source, target, above, upto, plus) VALUES (%s, %s, %s, %s, %s)",
                (route.source, route.target, region.above, region.upto, region.plus),
                doing="writing the offsets",
            )
