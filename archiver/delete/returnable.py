"""Rows to delete that their foreign keys would not take back: they refer to rows that are not there.

PostgreSQL vouches for a foreign key that is validated and enforced. Of any other, rows of before it was added, or of
while it was disabled, may refer to nothing; a restore of those is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName
from archiver.extract.row_sets import RowSets
from archiver.postgres.databases import Placement
from archiver.postgres.schema import NAMESPACE, TENANT, identifier
from archiver.postgres.selection import SelectedRows, among
from archiver.postgres.session import SQL, Composable, Identifier, Session
from errors import CutoverError, RefusedError
from inventory.keys import Key

OrphanRows = Mapping[str, int]  # by table and foreign key: rows


@dataclass(frozen=True, kw_only=True)
class UnprovenKey:
    """A foreign key that is not validated, or not enforced."""

    table: str
    name: str
    columns: Sequence[str]
    target: Composable
    target_columns: Sequence[str]

    @property
    def leads_nowhere(self) -> Composable:
        """SQL: the row `c` refers to a row that is not there."""
        complete = SQL(" AND ").join(SQL("{} IS NOT NULL").format(Identifier("c", name)) for name in self.columns)
        pairs = zip(self.columns, self.target_columns, strict=True)
        same = SQL(" AND ").join(SQL("{} = {}").format(Identifier("p", b), Identifier("c", a)) for a, b in pairs)
        return SQL("{} AND NOT EXISTS (SELECT FROM {} p WHERE {})").format(complete, self.target, same)


def orphans(
    placement: Placement, database: str, to_delete: Mapping[TableName, SelectedRows], *, accepted: bool
) -> OrphanRows:
    """Return the number of rows to delete of one database that could not come back; raise RefusedError if any may not.

    Belongs before the deletion, in its transaction.
    """
    session, rows = placement.sessions[database], dict[str, int]()
    tables = [table.table for table, of_table in to_delete.items() if table.database == database and of_table.rows]
    for key in _unproven(session, tables):
        selected = to_delete[TableName(database, key.table)]
        condition = among(placement.schemas[database].tables[key.table], selected.identity, selected.identities())
        query = SQL("SELECT count(*) FROM {} c WHERE {} AND {}").format(
            identifier(key.table), condition, key.leads_nowhere
        )
        if number := session.row(query, doing=f"following {key.name}")[0]:
            rows[f"{key.table}.{key.name}"] = number
    if rows and not accepted:
        raise _refusal(session, rows)
    return rows


def orphans_of_set(
    sets: RowSets, model: Model, database: str, below: frozenset[TableName]
) -> dict[Key, dict[str, int]]:
    """Return by tenant the rows of one database that could not come back, one pass per unproven foreign key."""
    session, by_tenant = sets.placement.sessions[database], dict[Key, dict[str, int]]()
    tables = [table for table in model.of(database) if table in below]
    for key in _unproven(session, [table.table for table in tables]):
        query = SQL("SELECT m.{tenant}, count(*) FROM {source} WHERE {nowhere} GROUP BY 1").format(
            tenant=Identifier(TENANT), source=sets.source(TableName(database, key.table)), nowhere=key.leads_nowhere
        )
        for tenant, rows in session.rows(query, doing=f"following {key.name}"):
            by_tenant.setdefault(sets.tenant_ids[tenant], {})[f"{key.table}.{key.name}"] = rows
    return by_tenant


def refusals(session: Session, by_tenant: Mapping[Key, OrphanRows]) -> dict[Key, CutoverError]:
    """Return the error of each tenant with such rows."""
    return {tenant_id: _refusal(session, rows) for tenant_id, rows in by_tenant.items()}


def _unproven(session: Session, tables: Sequence[str]) -> Iterator[UnprovenKey]:
    if not tables:
        return
    rows = session.rows(_UNPROVEN, (NAMESPACE, list(tables)), doing="reading the foreign keys")
    for table, name, columns, schema, target, target_columns in rows:
        yield UnprovenKey(
            table=table,
            name=name,
            columns=columns,
            target=SQL("{}").format(Identifier(schema, target)),
            target_columns=target_columns,
        )


def _refusal(session: Session, rows: OrphanRows) -> RefusedError:
    named = ", ".join(f"{key} ({number})" for key, number in rows.items())
    return RefusedError(
        f"Deleting on {session.where} refused: rows refer to rows that are not there, so that their foreign keys would "
        f"not take them back: {named}.",
        hint="Repair these rows, or add --accept-orphans: a restore then needs a mapping or a key less.",
    )


# Not enforced on purpose (NOT ENFORCED, since PostgreSQL 18): such a key takes every row back.
_UNPROVEN = """
SELECT c.relname, k.conname,
       (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.conkey) WITH ORDINALITY p(number, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number),
       s.nspname, t.relname,
       (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.confkey) WITH ORDINALITY p(number, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number)
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid AND NOT c.relispartition
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class t ON t.oid = k.confrelid
  JOIN pg_namespace s ON s.oid = t.relnamespace
 WHERE k.contype = 'f' AND n.nspname = %s AND c.relname = ANY(%s)
   AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
   AND (NOT k.convalidated
     OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgenabled IN ('D', 'R')))
 ORDER BY c.relname, k.conname
"""
