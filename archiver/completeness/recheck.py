"""Completeness looked at again in a deleting transaction, under locks that keep new foreign keys and triggers out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archiver.catalog.model import Model
from archiver.completeness.live import read_live
from archiver.completeness.live_acts import read_acts, unknown_acts
from archiver.completeness.problems import below_problems, problems_of, refuse
from archiver.postgres.below import read_below
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.session import SQL, Session


def recheck(placement: Placement, model: Model, databases: Iterable[str]) -> None:
    """Lock the carried tables of these databases, and judge a catalogue again if it has changed since it was judged.

    Raises Problems with everything the catalog does not know. Belongs into the transaction that deletes or moves rows,
    before its first row is locked: until it ends no foreign key, trigger or rule can be added to these tables.
    """
    for database in databases:
        session, name = placement.sessions[database], placement.name_of(database)
        lock_carried(session, model, database)
        now = digest(session)
        if placement.judged.get(name) != now:
            unread = model.catalog.excluded.get(database, {})
            refuse(problems_of(model, database, read_live(session, unread=unread)))
            placement.judged[name] = now


def recheck_acts(session: Session, model: Model, database: str) -> None:
    """Lock the tables of a model, and raise Problems if a trigger, a rule or a relation below one is unknown to it."""
    lock_carried(session, model, database)
    refuse(unknown(session, model, database))


def unknown(session: Session, model: Model, database: str) -> list[str]:
    """Return the triggers and rules unknown to a model, and the relations below its tables, as sentences."""
    acts, below = read_acts(session), read_below(session)
    return [*unknown_acts(model, database, acts), *below_problems(model, database, below)]


def digest(session: Session) -> str:
    """Return a digest of the catalogue's rows that completeness judges; equal digests need no second judgment."""
    return str(session.row(_DIGEST, doing="reading the catalogue")[0])


def lock_carried(session: Session, model: Model, database: str) -> None:
    """Lock all carried tables as a writer does: the application reads and writes on, a migration waits."""
    tables: Sequence[str] = sorted(table.table for table in model.of(database))
    if not tables:  # LOCK TABLE needs a name, and a shard may hold none of the catalog's
        return
    query = SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(SQL(", ").join(map(identifier, tables)))
    session.execute(query, doing="locking the tables against migrations")


# By content, without object ids: this tool disables triggers and recreates foreign keys itself, and leaves them as they
# were.
_DIGEST = """
WITH product AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'm') AND c.relpersistence <> 't'
       AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema', 'archiver')
), facts AS (
    SELECT concat_ws(' ', 'relation', p.oid, p.relnamespace, p.relname, p.relkind, p.relam, p.relnatts, p.relreplident,
                     p.relispartition)
      FROM product p
    UNION ALL
    SELECT concat_ws(' ', 'key', k.conname, k.conrelid, k.confrelid, k.conkey, k.confkey, k.confdeltype, k.convalidated)
      FROM pg_constraint k WHERE k.contype = 'f'
    UNION ALL
    SELECT concat_ws(' ', 'trigger', t.tgname, t.tgrelid, t.tgfoid, t.tgtype, t.tgenabled)
      FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'rule', r.rulename, r.ev_class, r.ev_type, r.ev_enabled, r.oid)
      FROM pg_rewrite r JOIN product p ON p.oid = r.ev_class
    UNION ALL
    SELECT concat_ws(' ', 'below', i.inhparent, i.inhrelid) FROM pg_inherits i JOIN product p ON p.oid = i.inhrelid
    UNION ALL
    SELECT concat_ws(' ', 'publication', p.oid, p.puballtables, p.pubupdate, p.pubdelete, p.pubtruncate)
      FROM pg_publication p
    UNION ALL
    SELECT concat_ws(' ', 'published', t.pubname, t.schemaname, t.tablename) FROM pg_publication_tables t
)
SELECT md5(string_agg(fact, E'\\n' ORDER BY fact COLLATE "C")) FROM facts AS f (fact)
"""
