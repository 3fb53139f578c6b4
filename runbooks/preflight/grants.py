"""The rights of the role that archives: in the database, on the catalog's tables and on the archiver's own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from formatting import first_few, many
from inventory.model import Database
from runbooks.engine.model.actions import ProbeOutput, SqlQuery
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.step import Check, Verdict, fails, holds

ROLE = """
SELECT quote_ident(current_user), quote_ident(current_database()),
       concat_ws(', ', CASE WHEN NOT has_database_privilege(current_database(), 'CREATE') THEN 'CREATE' END,
                       CASE WHEN NOT has_database_privilege(current_database(), 'TEMPORARY') THEN 'TEMPORARY' END),
       has_schema_privilege('public', 'USAGE'),
       (SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace
         WHERE nspname = 'archiver' AND NOT pg_has_role(nspowner, 'USAGE'))
"""
TABLES = """
SELECT c.relname::text, quote_ident(pg_get_userbyid(c.relowner)), pg_has_role(c.relowner, 'USAGE'),
       concat_ws(', ', CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
                       CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN 'INSERT' END,
                       CASE WHEN NOT has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END,
                       CASE WHEN NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END),
       EXISTS (SELECT FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
                WHERE d.refobjid = c.oid AND d.deptype IN ('a', 'i') AND NOT has_table_privilege(s.oid, 'SELECT'))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
 ORDER BY 1
"""
ADVICE = "docs/install.md has every grant."
Row = tuple[object, ...]


def granted(database: Database, tables: Collection[str], *, owned: bool) -> Precondition:
    """Return the check that the role may do all that archiving and restoring the tables needs.

    `owned`: as a member of the tables' owner, too, as a night empties tables and switches triggers off.
    """

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (in_database,) = outputs[0].rows
        role, name = map(str, in_database[:2])
        carried = [row for row in outputs[1].rows if row[0] in tables]
        missing = [*_in_database(in_database), *_on_tables(role, carried)]
        missing += _ownership(role, carried) if owned else []
        if missing:
            return fails(f"{role} needs, in psql in {name}: {' '.join(missing)}")
        return holds(f"{role} may read, write and delete rows of {many(len(carried), 'table')}")

    looks = (
        SqlQuery(database=database.name, name="rights in the database", statement=ROLE),
        SqlQuery(database=database.name, name="rights on tables", statement=TABLES),
    )
    check = Check(title="the role has the rights that archiving needs", looks=looks, judge=judge)
    return Precondition(check=check, advice=ADVICE)


def _in_database(row: Row) -> Iterator[str]:
    role, name, lacking, uses_schema, owner = row
    if lacking:
        yield f"GRANT {lacking} ON DATABASE {name} TO {role};"
    if not uses_schema:
        yield f"GRANT USAGE ON SCHEMA public TO {role};"
    if owner:  # of the archiver's own tables, which another role made
        yield f"GRANT {owner} TO {role};"


def _on_tables(role: str, tables: Sequence[Row]) -> Iterator[str]:
    if any(row[4] for row in tables):  # a restore asks which numbers they will give out
        yield f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role};"
    lacking = {str(row[3]) for row in tables} - {""}
    if not lacking:
        return
    rights = [right for right in ("SELECT", "INSERT", "UPDATE", "DELETE") if any(right in each for each in lacking)]
    names = [str(row[0]) for row in tables if row[3]]
    where = "ALL TABLES IN SCHEMA public" if len(names) > 1 else f'"{names[0]}"'
    yield f"GRANT {', '.join(rights)} ON {where} TO {role}; -- {first_few(names)}"


def _ownership(role: str, tables: Sequence[Row]) -> Iterator[str]:
    for owner in sorted({str(row[1]) for row in tables if not row[2]}):
        yield f"GRANT {owner} TO {role}; -- a night empties tables, which their owner alone may"


def may_verify(scratch: Database) -> Precondition:
    """Return the check that the role may make tables in the scratch database."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((role, name, lacking, *_),) = outputs[0].rows
        if lacking:
            return fails(f"{role} needs, in psql in {name}: GRANT {lacking} ON DATABASE {name} TO {role};")
        return holds(f"{role} may make tables in {name}")

    look = SqlQuery(database=scratch.name, name="rights in the database", statement=ROLE)
    return Precondition(check=Check(title="the role may make tables there", looks=(look,), judge=judge), advice=ADVICE)
