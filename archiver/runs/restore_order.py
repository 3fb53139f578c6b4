"""The order of restoring monthly slices: a slice's rows may have parents in a later month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, Where
from archiver.load.closure import wanted_by
from archiver.load.links import below
from archiver.load.row_values import Key, RowValues, read_values
from archiver.postgres.schema import identifier
from archiver.postgres.selection import array
from archiver.postgres.session import SQL, Identifier
from archiver.records import slice_record
from archiver.records.slice_record import Slice
from archiver.runs.monthly_slices import IncomingSlice
from archiver.verify.scratch import ScratchDatabase
from errors import RefusedError


def refuse_without_parents(rules: Rules, incoming_slice: IncomingSlice, scratch: ScratchDatabase) -> None:
    """Raise RefusedError if parents of a slice's rows are neither live nor in it, and there is a later archive."""
    placement, noun = incoming_slice.incoming.placement, rules.model.tenant.noun
    later = _later(slice_record.of_tenant(placement.master, incoming_slice.slice.tenant_id), incoming_slice.slice)
    if later and any(_missing(rules, incoming_slice, scratch)):
        month, tenant_id = incoming_slice.slice.month.month, incoming_slice.slice.tenant_id
        raise RefusedError(
            f"Restoring {month} of {noun} {tenant_id} refused: parents of its rows are archived with a later month.",
            hint=f"Restore first: {', '.join(dict.fromkeys(later))}.",
        )


def _later(of_tenant: tuple[Slice, ...], month_slice: Slice) -> list[str]:
    return [
        each.month.month
        for each in of_tenant
        if each.id > month_slice.id and each.month.shard == month_slice.month.shard
    ]


def _missing(rules: Rules, incoming_slice: IncomingSlice, scratch: ScratchDatabase) -> Iterator[int]:
    """Yield the number of missing parents, per link."""
    incoming = incoming_slice.incoming
    mapping = incoming.mappings[incoming_slice.database]
    if not all(table.plain for table in mapping.tables):
        return  # names or ids differ today; foreign keys still reject missing parents
    steps = below(rules.inner)
    values = read_values(incoming.archive, scratch, wanted_by(steps))
    for link, step in zip(rules.inner, steps, strict=True):
        children = _keys(values[step.target], step.target_columns, step.target_where)
        parents = _keys(values[step.source], step.columns)
        if keys := children - parents:
            yield _absent(incoming_slice, link, keys)


def _keys(values: RowValues, columns: Sequence[str], where: Where | None = None) -> set[Key]:
    numbers = (number for number in range(len(values.rows)) if values.holds(number, where))
    return {key for number in numbers if (key := values.key(number, columns)) is not None}


def _absent(incoming_slice: IncomingSlice, link: Link, keys: set[Key]) -> int:
    """Return the number of keys without a live row."""
    session = incoming_slice.incoming.placement.sessions[incoming_slice.database]
    shape = incoming_slice.incoming.placement.schemas[incoming_slice.database].tables[link.parent.table]
    names = [Identifier(f"key {position}") for position in range(len(link.parent_columns))]
    listed = sorted(keys)
    query = SQL("SELECT count(*) FROM unnest({}) w ({}) WHERE NOT EXISTS (SELECT FROM {} p WHERE {})").format(
        SQL(", ").join(
            array(shape, column, [key[position] for key in listed])
            for position, column in enumerate(link.parent_columns)
        ),
        SQL(", ").join(names),
        identifier(link.parent.table),
        SQL(" AND ").join(
            SQL("p.{} = w.{}").format(Identifier(column), name)
            for column, name in zip(link.parent_columns, names, strict=True)
        ),
    )
    return int(session.row(query, doing=f"looking for {link.parent}")[0])
