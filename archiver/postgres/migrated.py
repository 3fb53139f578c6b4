"""Migrations that change the content of rows without writing one, so that no row version shows it."""

from __future__ import annotations

from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session


def migrated_since(session: Session, xid: str) -> bool:
    """True if a column of the product's tables was added, dropped or changed since a snapshot's transaction id.

    A column dropped, and added again with a default, has another value in each row, and the same shape: only its entry
    in the catalogue is new.
    """
    return bool(session.row(_MIGRATED, (NAMESPACE, xid), doing="looking for migrations since")[0])


_MIGRATED = """
SELECT EXISTS (
    SELECT FROM pg_attribute a
      JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
      JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid)
      JOIN pg_namespace n ON n.oid = r.relnamespace
     WHERE n.nspname = %s AND a.attnum > 0 AND age(a.xmin) <= age(%s::xid))
"""
