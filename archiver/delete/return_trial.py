"""A trial of the way back: rows that were deleted are inserted again, as a restore does, and the trial is undone.

A trigger that the catalog lets fire may reject rows that have long been there, or change them as they come. Where a
table has one, its rows are tried together with all that go with them. Checks need no trial: an archive is verified in
tables that have them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName
from archiver.postgres.account import Account
from archiver.postgres.counters import Changes
from archiver.postgres.databases import Placement
from archiver.postgres.schema import NAMESPACE, Table, column_list, identifier, load_order, row_text
from archiver.postgres.selection import SelectedRows, among
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier, Session
from archiver.postgres.triggers import product_names, triggers_disabled
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class _Copy:
    """Rows to delete of one table, copied before they go."""

    table: TableName
    shape: Table
    relation: Composable  # the temporary table
    rows: int

    def text(self, model: Model, alias: str) -> Composable:
        """SQL: a row as text, without the columns that triggers may set."""
        allowed = model.changed_by_triggers(self.table)
        return row_text([column.name for column in self.shape.copied if column.name not in allowed], alias)

    def counted(self, session: Session, model: Model) -> Counter[str]:
        """Return how many rows there are: by content if they have no key."""
        if self.shape.primary_key:
            return Counter({"": self.rows})
        query = SQL("SELECT md5({}), count(*) FROM {} b GROUP BY 1").format(self.text(model, "b"), self.relation)
        return Counter(dict(session.rows(query, doing=f"counting the rows of {self.table}")))


@contextmanager
def tried_back(
    placement: Placement,
    model: Model,
    database: str,
    to_delete: Mapping[TableName, SelectedRows],
    account: Account,
    accepted: Collection[str] = (),
) -> Iterator[None]:
    """Prove at the end of the block, which deletes these rows of one database, that they can come back as they were.

    If rows that foreign keys would not take back are `accepted`, nothing is tried. Raises RefusedError with the table
    whose rows would not come back, or would come back changed.
    """
    session = placement.sessions[database]
    rows = {table: of_table for table, of_table in to_delete.items() if table.database == database and of_table.rows}
    if accepted or not (judges := judges_of(session, model, rows)):
        yield
        return
    copies = {table: _copy(placement, table, of_table, number) for number, (table, of_table) in enumerate(rows.items())}
    yield
    session.execute("SAVEPOINT trial", doing="trying the way back")
    alike = {table: _alike(session, model, copy) for table, copy in copies.items()}
    with triggers_disabled(session, model, database), product_names(session):
        for group in load_order(placement.schemas[database]):
            _insert(
                session, [copies[table] for name in group if (table := TableName(database, name)) in copies], judges
            )
        with _rejected(session, list(judges), judges):
            session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
    for table, copy in copies.items():
        if _alike(session, model, copy) != alike[table] + copy.counted(session, model):
            raise _refusal(session, [table], "some would be changed, left out or doubled", judges)
        account.declare(copy.table.table, Changes(inserted=copy.rows))  # the server counts what is undone, too
    session.execute("ROLLBACK TO SAVEPOINT trial", doing="undoing the trial of the way back")


def judges_of(session: Session, model: Model, tables: Iterable[TableName]) -> dict[TableName, list[str]]:
    """Return by table the triggers that fire, and may reject or change rows, as these come back."""
    by_name = {table.table: table for table in tables}
    disabled = {(name, trigger) for name, table in by_name.items() for trigger in model.triggers_to_disable(table)}
    judges: dict[TableName, list[str]] = defaultdict(list)
    rows = session.rows(_JUDGES, (NAMESPACE, list(by_name)), doing="reading the triggers") if by_name else []
    for name, trigger in rows:
        if (name, trigger) not in disabled:
            judges[by_name[name]].append(f"the trigger {trigger}")
    return dict(judges)


def _copy(placement: Placement, table: TableName, selected: SelectedRows, number: int) -> _Copy:
    """Copy rows into a temporary table."""
    shape, relation = placement.schemas[table.database].tables[table.table], Identifier("pg_temp", f"back {number}")
    query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WHERE {}").format(
        relation, column_list(shape), identifier(table.table), among(shape, selected.identity, selected.identities())
    )
    rows = placement.sessions[table.database].execute(query, doing=f"copying {table} to try its way back")
    return _Copy(table=table, shape=shape, relation=relation, rows=rows)


def _insert(session: Session, copies: Sequence[_Copy], judges: Mapping[TableName, Sequence[str]]) -> None:
    """Insert rows of several tables in one statement, as a restore does."""
    if not copies:
        return
    insert = SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}")
    statements = [
        insert.format(identifier(copy.table.table), column_list(copy.shape), column_list(copy.shape), copy.relation)
        for copy in copies
    ]
    tables = [copy.table for copy in copies]
    with _rejected(session, tables, judges):
        counts = session.counts(statements, doing=f"trying the way back of {', '.join(map(str, tables))}")
    for copy, count in zip(copies, counts, strict=True):
        if count != copy.rows:
            raise _refusal(session, [copy.table], f"{copy.rows - count} would be left out", judges)


@contextmanager
def _rejected(
    session: Session, tables: Sequence[TableName], judges: Mapping[TableName, Sequence[str]]
) -> Iterator[None]:
    """Raise RefusedError if the server rejects rows of these tables in the block."""
    try:
        yield
    except DatabaseError as error:
        if error.lost or error.transient:
            raise
        raise _refusal(session, tables, f"the server rejects them ({error.code})", judges) from error


def _alike(session: Session, model: Model, copy: _Copy) -> Counter[str]:
    """Return how many live rows equal a copied one, in the columns that no trigger may set; without key, by content."""
    live = identifier(copy.table.table)
    equal = SQL("{} = {}").format(copy.text(model, "c"), copy.text(model, "b"))
    if copy.shape.primary_key:  # few of many rows: found by key
        keys = SQL(" AND ").join(SQL("c.{0} = b.{0}").format(Identifier(name)) for name in copy.shape.primary_key)
        query = SQL("SELECT '', count(*) FROM {} b JOIN {} c ON {} AND {}").format(copy.relation, live, keys, equal)
    else:
        query = SQL("SELECT md5({}), count(*) FROM {} c WHERE EXISTS (SELECT FROM {} b WHERE {}) GROUP BY 1").format(
            copy.text(model, "c"), live, copy.relation, equal
        )
    return Counter(dict(session.rows(query, doing=f"comparing {copy.table}")))


def _refusal(
    session: Session, tables: Sequence[TableName], why: str, judges: Mapping[TableName, Sequence[str]]
) -> RefusedError:
    """Return the error, with the triggers that may be the cause."""
    own = [judge for table in tables for judge in judges.get(table, ())]
    named = own or [f"{judge} of {table}" for table, of_table in judges.items() for judge in of_table]
    table = tables[0] if own or not judges else next(iter(judges))
    return RefusedError(
        f"Deleting on {session.where} refused: rows of {', '.join(map(str, tables))} would not come back as they are: "
        f"{why}. Possible cause: {', '.join(named)}.",
        hint=f"Correct these rows; or, in databases/{table.database}/{table.table} of the catalog, list the columns "
        "that the trigger may set under changes, or move it from triggers to quiet, with the reason.",
    )


# Bit 2 of tgtype is INSERT.
_JUDGES = """
SELECT c.relname, t.tgname
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s)
   AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 4 <> 0
 ORDER BY 1, 2
"""
