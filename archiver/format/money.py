"""Money in an archive: the locale without which its text is another number."""

from __future__ import annotations

from archiver.catalog.model import TableName
from archiver.format.manifest import Manifest
from archiver.postgres.session import SQL, Literal, Session

_SETTING, _TYPE = "lc_monetary", "money"


def read_as_written(session: Session, manifest: Manifest, table: TableName) -> None:
    """Read a table's money, until the transaction ends, in the locale that wrote it.

    Archives of versions that pinned none name none: it was the database's, and they are read in the database's now.
    """
    if _has_money(manifest, table):
        locale = manifest.settings.get(_SETTING)
        value = Literal(locale) if locale else SQL("DEFAULT")
        session.execute(SQL("SET LOCAL {} TO {}").format(SQL(_SETTING), value), doing=f"loading {table}")


def _has_money(manifest: Manifest, table: TableName) -> bool:
    """True if a column may be money, an array of it or a domain over it."""
    schema = manifest.schemas[table.database]
    types = [column.type for column in schema.tables[table.table].columns]
    return any(_TYPE in text for text in (*types, *schema.types.values()))
