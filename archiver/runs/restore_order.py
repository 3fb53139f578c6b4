"""Whether a slice can come back alone: its rows may lie below others that a later month has."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.closure import NULL, Closure, Key
from archiver.postgres.schema import identifier
from archiver.postgres.selection import array
from archiver.postgres.session import SQL, Identifier
from archiver.records import slice_record
from archiver.records.slice_record import Slice
from archiver.runs.monthly_slices import IncomingSlice
from errors import RefusedError


def refuse_without_parents(rules: Rules, coming: IncomingSlice) -> None:
    """RefusedError where rows lie below others that are neither live nor in the slice, and a later archive has them."""
    placement, noun = coming.incoming.placement, rules.model.tenant.noun
    later = _later(slice_record.of_tenant(placement.master, coming.slice.tenant_id), coming.slice)
    if later and any(_missing(rules, coming)):
        month, tenant_id = coming.slice.month.month, coming.slice.tenant_id
        raise RefusedError(
            f"Restoring {month} of {noun} {tenant_id} refused: rows above its rows went with a later month.",
            hint=f"Restore first: {', '.join(dict.fromkeys(later))}.",
        )


def _later(of_tenant: tuple[Slice, ...], one: Slice) -> list[str]:
    return [each.month.month for each in of_tenant if each.id > one.id and each.month.shard == one.month.shard]


def _missing(rules: Rules, coming: IncomingSlice) -> Iterator[int]:
    """For each link, how many parents are nowhere."""
    incoming = coming.incoming
    mapping = incoming.mappings[coming.database]
    if not all(table.plain for table in mapping.tables):
        return  # names or numbers are others today; what foreign keys forbid they forbid
    for link in rules.inner:
        named = _keys(incoming.archive, link, child=True) - _keys(incoming.archive, link, child=False)
        if named:
            yield _absent(coming, link, named)


def _keys(archive: Archive, link: Link, *, child: bool) -> set[Key]:
    reach = Closure(archive)
    table, columns = (link.child, link.columns) if child else (link.parent, link.parent_columns)
    lines = archive.open(layout.member(table))
    return {key for line in lines if NULL not in (key := reach.key_of(table, columns, line))}


def _absent(coming: IncomingSlice, link: Link, named: set[Key]) -> int:
    """How many of these keys no live row has."""
    session = coming.incoming.placement.sessions[coming.database]
    shape = coming.incoming.placement.schemas[coming.database].tables[link.parent.table]
    names = [Identifier(f"key {place}") for place in range(len(link.parent_columns))]
    listed = sorted(named)
    query = SQL("SELECT count(*) FROM unnest({}) w ({}) WHERE NOT EXISTS (SELECT FROM {} p WHERE {})").format(
        SQL(", ").join(
            array(shape, column, [key[place].decode() for key in listed])
            for place, column in enumerate(link.parent_columns)
        ),
        SQL(", ").join(names),
        identifier(link.parent.table),
        SQL(" AND ").join(
            SQL("p.{} = w.{}").format(Identifier(column), name)
            for column, name in zip(link.parent_columns, names, strict=True)
        ),
    )
    return int(session.row(query, doing=f"looking for {link.parent}")[0])
