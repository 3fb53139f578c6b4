"""Tables that got into a database by accident: what uses them still, and dropping those that nothing does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from archiver.postgres.schema import NAMESPACE, identifier
from archiver.postgres.session import SQL, Composable, DatabaseError, Literal, Session
from archiver.vacuum.rewrite import PATIENCE
from errors import CutoverError, RefusedError
from inventory.catalog import Catalog


@dataclass(frozen=True, kw_only=True)
class Use:
    """Something that needs a table."""

    what: str  # a foreign key, a view …, as a person would look for it
    by: str = ""  # the table whose foreign key it is, which may be a stray itself


@dataclass(frozen=True, kw_only=True)
class Writes:
    """What the statistics say of when a table was last written."""

    counted: int  # rows written since `since`
    since: datetime  # since when they are surely counted
    unanalyzed: int  # of them, those since it was last analyzed
    analyzed: datetime | None

    @property
    def none_since(self) -> datetime | None:
        """Since when nobody surely wrote there; none where somebody did, and nobody knows when."""
        if self.counted == 0:
            return self.since
        return self.analyzed if self.unanalyzed == 0 else None


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A table that should not be there."""

    table: str
    rows: int
    bytes: int  # with its indexes
    sequences: tuple[str, ...] = ()  # that number it and would stay behind it; those it owns go with it
    uses: tuple[Use, ...] = ()
    writes: Writes
    now: datetime  # by the server's clock

    def refused(self, going: Collection[str], quiet: timedelta) -> list[str]:
        """Why it is not dropped, when the tables `going` are and it must not have been written for so long."""
        return [use.what for use in self.uses if use.by not in going] + list(_recent(self, quiet))


def _recent(stray: Stray, quiet: timedelta) -> Iterator[str]:
    writes, last = stray.writes, stray.writes.none_since
    if last is None:
        rows = "1 row was" if writes.counted == 1 else f"{writes.counted:,} rows were"
        yield f"{rows} written since {writes.since:%Y-%m-%d}, nobody knows when"
    elif stray.now - last < quiet:
        yield f"it is known to be unwritten only since {last:%Y-%m-%d %H:%M} UTC"


def look(session: Session, catalog: Catalog, kind: str) -> list[Stray]:
    """The strays of a database, those first that name others."""
    names = [row[0] for row in session.rows(_TABLES, (NAMESPACE,), doing="reading the tables")]
    found = [_read(session, name) for name in names if catalog.is_stray(kind, name)]
    return _namers_first(found)


def droppable(strays: Iterable[Stray], quiet: timedelta) -> set[str]:
    """The tables that may be dropped; what a table that stays names stays as well."""
    every = list(strays)
    names = {stray.table for stray in every}
    while left := {stray.table for stray in every if stray.table in names and stray.refused(names, quiet)}:
        names -= left
    return names


def drop_unused(
    session: Session, found: Sequence[Stray], quiet: timedelta
) -> Iterator[tuple[Stray, CutoverError | None]]:
    """Drops those that nothing uses, one after the other, and says of each why it could not be, if so.

    Raises DatabaseError where the connection is lost, and UnknownError where that was at a COMMIT.
    """
    for stray in found:
        if stray.table not in droppable(found, quiet):
            continue
        try:
            drop(session, stray, quiet)
        except (DatabaseError, RefusedError) as error:
            if isinstance(error, DatabaseError) and error.lost:
                raise
            yield stray, error
        else:
            yield stray, None


def drop(session: Session, stray: Stray, quiet: timedelta) -> None:
    """Drops a table and the sequences that number it, once nobody else can write there and it was looked at again.

    Nothing else goes with it. RefusedError where it is in use by now.
    """
    name = identifier(stray.table)
    with session.transaction(doing=f"dropping {stray.table}"):
        session.execute(SQL("SET LOCAL lock_timeout TO {}").format(Literal(PATIENCE)))
        session.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name), doing=f"locking {stray.table}")
        now = _read(session, stray.table)
        if why := now.refused((), quiet):
            raise RefusedError(f"{stray.table} is in use by now: {'; '.join(why)}.")
        session.execute(SQL("DROP TABLE {} RESTRICT").format(name), doing=f"dropping {stray.table}")
        for sequence in now.sequences:
            query = SQL("DROP SEQUENCE {} RESTRICT").format(identifier(sequence))
            session.execute(query, doing=f"dropping the sequence {sequence}")


def _namers_first(strays: Sequence[Stray]) -> list[Stray]:
    """Each table behind those whose foreign keys name it, as far as they name each other in no circle."""
    order: list[Stray] = []
    while waiting := [stray for stray in strays if stray not in order]:
        names = {stray.table for stray in waiting}
        free = [stray for stray in waiting if not any(use.by in names for use in stray.uses)]
        order.append((free or waiting)[0])
    return order


def _read(session: Session, name: str) -> Stray:
    table = identifier(name)
    [oid] = session.row(_OID, (NAMESPACE, name), doing=f"looking for {name}")
    size = SQL("SELECT count(*), pg_total_relation_size({}), now() FROM {}").format(Literal(oid), table)
    rows, whole, now = session.row(size, doing=f"counting {name}")
    asked: dict[str, Composable] = {"oid": Literal(oid), "name": Literal(name), "namespace": Literal(NAMESPACE)}
    asked |= {"numbering": SQL(_NUMBERING).format(**asked)}
    behind = session.rows(SQL(_SEQUENCES).format(**asked), doing=f"reading the sequences of {name}")
    uses = session.rows(SQL(_USES).format(**asked), doing=f"asking who uses {name}")
    counted, since, unanalyzed, analyzed = session.row(_WRITES, (oid,), doing="reading the statistics")
    return Stray(
        table=name,
        rows=rows,
        bytes=whole,
        sequences=tuple(row[0] for row in behind),
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
# Counters hold from the last of: their reset, and the server's start, which loses them where it follows a crash.
_WRITES = """
SELECT n_tup_ins + n_tup_upd + n_tup_del, greatest(d.stats_reset, pg_postmaster_start_time()),
       n_mod_since_analyze, greatest(last_analyze, last_autoanalyze)
  FROM pg_stat_user_tables t, pg_stat_database d
 WHERE t.relid = %s::oid AND d.datname = current_database()
"""
# Those that a default asks, or that have the name that `serial` gives, and no owner with whom they go.
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
# What a function's text names, no dependency tells.
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
