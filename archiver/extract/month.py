"""Extraction of due activity into spool files: a tenant's, and orphan rows that belong to no tenant."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from archiver.catalog.activity_rules import Rules, condition_of
from archiver.catalog.model import TableName
from archiver.extract.due import Due, due
from archiver.extract.one import highest, manifest_of
from archiver.extract.orphan_rows import orphan_rows
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.format.rows import CopyRows as Bytes
from archiver.format.rows import RowFile, Spool
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Table, column_list, identifier
from archiver.postgres.selection import Key, SelectedRows, among, array, select
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session, Sink
from archiver.postgres.tenants import Tenant
from archiver.records.cutoff import Span

NO_TENANT = 0  # in place of a tenant's id: orphan rows


@dataclass(frozen=True, kw_only=True)
class MonthExtract:
    """One tenant's due rows in spool files, from one snapshot per database."""

    tenant: Tenant
    due: Due
    manifest: Manifest
    rows: Mapping[str, Bytes]  # by member


def no_tenant(placement: Placement) -> Tenant:
    """Return the tenant that stands for orphan rows."""
    return Tenant(id=NO_TENANT, name="", shard=placement.shard, customer_id=None, customer_name=None)


def extract_month(
    placement: Placement, rules: Rules, tenant: Tenant, span: Span, work: Path
) -> tuple[Due, MonthExtract | None]:
    """Read a tenant's due rows, if any, in one snapshot per database. `work` must be empty."""
    with ExitStack() as snapshots:
        for session in placement.sessions.values():
            snapshots.enter_context(session.rolled_back("REPEATABLE READ READ ONLY"))
        selected = (
            orphan_rows(placement, rules)
            if tenant.id == NO_TENANT
            else select(placement, rules.reachable_model, tenant.id).by_table
        )
        due_rows = due(rules, selected, _ended(placement, rules, selected, span))
        return due_rows, _spooled(placement, rules, tenant, span, due_rows, work) if due_rows.total else None


def _ended(
    placement: Placement, rules: Rules, selected: Mapping[TableName, SelectedRows], span: Span
) -> dict[TableName, set[Key]]:
    """Return, by table with a rule of its own, the identities of the rows that ended in the time span."""
    return {table: _identities(placement, rules, table, selected[table], span) for table in rules.ended}


def _identities(placement: Placement, rules: Rules, table: TableName, rows: SelectedRows, span: Span) -> set[Key]:
    if not rows.rows:
        return set()
    rule, shape = rules.ended[table], placement.schemas[table.database].tables[table.table]
    end = span.end_for(next(column.type for column in shape.columns if column.name == rule.ended))
    conditions = [
        among(shape, rows.identity, rows.identities()),
        SQL("{} < {}").format(Identifier(rule.ended), Literal(end)),
    ]
    if where := condition_of(rule):
        conditions.append(SQL("{} = {}").format(Identifier(where[0]), Literal(where[1])))
    query = SQL("SELECT {} FROM {} WHERE {}").format(
        SQL(", ").join(map(Identifier, rows.identity)), identifier(table.table), SQL(" AND ").join(conditions)
    )
    ended = placement.sessions[table.database].keys(query, doing=f"looking for ended rows of {table}")
    return {row if len(row) > 1 else row[0] for row in ended}


def _spooled(placement: Placement, rules: Rules, tenant: Tenant, span: Span, due_rows: Due, work: Path) -> MonthExtract:
    tables = rules.model.of(rules.database)
    files = {table: work / f"{number}.copy" for number, table in enumerate(tables)}
    members = {layout.member(table): _copied(placement, due_rows, table, path) for table, path in files.items()}
    schema = {rules.database: placement.schemas[rules.database]}
    manifest = manifest_of(placement, rules.model, tenant, span.year, members, highest(placement, files))
    return MonthExtract(
        tenant=tenant,
        due=due_rows,
        manifest=replace(manifest, schemas=schema, month=str(span.month)),
        rows={layout.member(table): RowFile(path) for table, path in files.items()},
    )


def _copied(placement: Placement, due_rows: Due, table: TableName, path: Path) -> Member:
    spool, rows = Spool(path), due_rows.rows.get(table)
    if rows is None or not rows.rows:
        return spool.finish(0)
    shape = placement.schemas[table.database].tables[table.table]
    return spool.finish(copy_in_order(placement.sessions[table.database], table, shape, rows, spool))


def copy_in_order(session: Session, table: TableName, shape: Table, rows: SelectedRows, sink: Sink) -> int:
    """Copy rows out in the order of `rows`, not by key. Return their number."""
    query = SQL("SELECT {} FROM {} t JOIN unnest({}) WITH ORDINALITY w ({}, place) ON {} ORDER BY w.place").format(
        column_list(shape, "t"),
        identifier(table.table),
        SQL(", ").join(_arrays(shape, rows)),
        SQL(", ").join(Identifier(f"key {number}") for number in range(len(rows.identity))),
        SQL(" AND ").join(
            SQL("t.{} = w.{}").format(Identifier(name), Identifier(f"key {number}"))
            for number, name in enumerate(rows.identity)
        ),
    )
    return session.copy_out(query, sink, doing=f"copying {table} out")


def _arrays(shape: Table, rows: SelectedRows) -> list[Composable]:
    keys = rows.identities()
    if len(rows.identity) == 1:
        return [array(shape, rows.identity[0], keys)]
    return [array(shape, name, [key[number] for key in keys]) for number, name in enumerate(rows.identity)]
