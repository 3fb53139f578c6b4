"""Stray tables: tables in a database by accident, what still uses them, and which may be dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.postgres.schema import NAMESPACE, identifier
from archiver.postgres.session import SQL, Composable, Literal, Session
from inventory.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Use:
    """Something that needs a table."""

    what: str  # a foreign key, a view …, by the name a person would search for
    by: str = ""  # the table with the foreign key, which may be a stray itself


@dataclass(frozen=True, kw_only=True)
class Writes:
    """The last writes to a table, by the statistics."""

    counted: int  # rows written since `since`
    since: datetime  # when counting certainly began
    unanalyzed: int  # rows written since the last ANALYZE
    analyzed: datetime | None

    @property
    def none_since(self) -> datetime | None:
        """The time since which the table has certainly not been written; None if unknown."""
        if self.counted == 0:
            return self.since
        return self.analyzed if self.unanalyzed == 0 else None


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A table that should not exist."""

    table: str
    rows: int
    bytes: int  # with its indexes
    sequences: tuple[str, ...] = ()  # number it, but are not owned by it: they would survive its DROP
    uses: tuple[Use, ...] = ()
    writes: Writes
    now: datetime  # by the server's clock

    def refused(self, to_drop: Collection[str], idle: timedelta) -> list[str]:
        """Return why it cannot be dropped with the tables `to_drop`, if it must be unwritten for `idle`."""
        return [use.what for use in self.uses if use.by not in to_drop] + list(_recent(self, idle))


def _recent(stray: Stray, idle: timedelta) -> Iterator[str]:
    writes, last = stray.writes, stray.writes.none_since
    if last is None:
        rows = "1 row was" if writes.counted == 1 else f"{writes.counted:,} rows were"
        yield f"{rows} written since {writes.since:%Y-%m-%d}, at an unknown time"
    elif stray.now - last < idle:
        yield f"it is known to be unwritten only since {last:%Y-%m-%d %H:%M} UTC"


def look(session: Session, catalog: Catalog, kind: str) -> list[Stray]:
    """Return the strays of a database; a table comes before the ones its foreign keys name."""
    names = [row[0] for row in session.rows(_TABLES, (NAMESPACE,), doing="reading the tables")]
    return _namers_first([read(session, name) for name in names if catalog.is_stray(kind, name)])


def droppable(strays: Iterable[Stray], idle: timedelta) -> set[str]:
    """Return the tables that may be dropped. A table named by one that stays must stay too."""
    every = list(strays)
    names = {stray.table for stray in every}
    while left := {stray.table for stray in every if stray.table in names and stray.refused(names, idle)}:
        names -= left
    return names


def _namers_first(strays: Sequence[Stray]) -> list[Stray]:
    """Return each table after those whose foreign keys name it, except within cycles."""
    order: list[Stray] = []
    while waiting := [stray for stray in strays if stray not in order]:
        names = {stray.table for stray in waiting}
        free = [stray for stray in waiting if not any(use.by in names for use in stray.uses)]
        order.append((free or waiting)[0])
    return order


def read(session: Session, name: str) -> Stray:
    """Return one table as a stray, with what uses it now."""
    table = identifier(name)
    [oid] = session.row(_OID, (NAMESPACE, name), doing=f"looking for {name}")
    size = SQL("SELECT count(*), pg_total_relation_size({}), now() FROM {}").format(Literal(oid), table)
    rows, total, now = session.row(size, doing=f"counting {name}")
    values: dict[str, Composable] = {"oid": Literal(oid), "name": Literal(name), "namespace": Literal(NAMESPACE)}
    values |= {"numbering": SQL(_NUMBERING).format(**values)}
    sequences = session.rows(SQL(_SEQUENCES).format(**values), doing=f"reading the sequences of {name}")
    uses = session.rows(SQL(_USES).format(**values), doing=f"reading what uses {name}")
    counted, since, unanalyzed, analyzed = session.row(_WRITES, (oid,), doing="reading the statistics")
    return Stray(
        table=name,
        rows=rows,
        bytes=total,
        sequences=tuple(row[0] for row in sequences),
        uses=tuple(Use(what=what, by=by) for what, by in uses),
        writes=Writes(counted=counted, since=since, unanalyzed=unanalyzed, analyzed=analyzed),
        now=now,
    )


_TABLES = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relkind = 'r' AND NOT c.relispartition ORDER BY c.relname
"""
_OID = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""
# Counters are valid since their reset or the server's start, whichever is later: a start after a crash resets them.
_WRITES = """
SELECT n_tup_ins + n_tup_upd + n_tup_del, greatest(d.stats_reset, pg_postmaster_start_time()),
       n_mod_since_analyze, greatest(last_analyze, last_autoanalyze)
  FROM pg_stat_user_tables t, pg_stat_database d
 WHERE t.relid = %s::oid AND d.datname = current_database()
"""
# Sequences used by a column default, or named as `serial` names them.
_NUMBERING = """
SELECT s.oid, s.relname
  FROM pg_class s
 WHERE s.relkind = 'S'
   AND (EXISTS (SELECT 1 FROM pg_attrdef f JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
                 WHERE f.adrelid = {oid} AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid)
     OR s.relnamespace = {namespace}::regnamespace AND s.relname IN (SELECT format('%s_%s_seq', {name}, a.attname)
                          FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0))
"""
_SEQUENCES = """
SELECT s.relname FROM ({numbering}) s
 WHERE NOT EXISTS (SELECT 1 FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = s.oid
                      AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i'))
 ORDER BY 1
"""
# Tables named in a function's text are not in pg_depend.
_USES = """
SELECT format('the foreign key %I of %s', k.conname, k.conrelid::regclass), c.relname
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE k.contype = 'f' AND k.confrelid = {oid} AND k.conrelid <> {oid}
 UNION
SELECT format('the view %s', r.ev_class::regclass), ''
  FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
 WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = {oid} AND r.ev_class <> {oid}
 UNION
SELECT format('the function %s', p.oid::regprocedure), ''
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND (p.prosrc ~* ('\\m' || regexp_replace({name}, '(\\W)', '\\\\\\1', 'g') || '\\M')
     OR EXISTS (SELECT 1 FROM pg_depend d JOIN pg_class c ON c.oid = {oid}
                 WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refobjid IN (c.oid, c.reltype)))
 UNION
SELECT format('the table %s, which inherits it', i.inhrelid::regclass), ''
  FROM pg_inherits i WHERE i.inhparent = {oid}
 UNION
SELECT format('the publication %I', p.pubname), ''
  FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = {oid}
 UNION
SELECT format('the column %s.%I, which its sequence %I numbers', f.adrelid::regclass, a.attname, s.relname), c.relname
  FROM ({numbering}) s
  JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
  JOIN pg_attrdef f ON f.oid = d.objid AND f.adrelid <> {oid}
  JOIN pg_class c ON c.oid = f.adrelid
  JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
 ORDER BY 1
"""
