"""Tenants on hold: they were restored, and the monthly run takes none of their rows until they are released."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from archiver.postgres.operator import host, operator
from archiver.postgres.session import Session
from inventory.keys import Key, key_of_text, key_order, key_text


def hold(master: Session, tenant_ids: Collection[Key]) -> None:
    """Put tenants on hold. Call it in the transaction that ends their restore."""
    master.execute(
        "INSERT INTO archiver.held (key, operator, host)"
        " SELECT key, %s, %s FROM unnest(%s::text[]) key ON CONFLICT DO NOTHING",
        (operator(), host(), list(map(key_text, tenant_ids))),
        doing="putting restored tenants on hold",
    )


def release(master: Session, tenant_id: Key | None = None) -> list[Key]:
    """Release one hold, or all. Return the tenant ids released, sorted."""
    key = None if tenant_id is None else key_text(tenant_id)
    query = "DELETE FROM archiver.held WHERE %s::text IS NULL OR key = %s RETURNING key"
    return sorted(_keys(master.rows(query, (key, key), doing="releasing holds")), key=key_order)


def on_hold(master: Session) -> frozenset[Key]:
    """Return the ids of the tenants on hold."""
    return frozenset(_keys(master.rows("SELECT key FROM archiver.held", doing="reading the holds")))


def _keys(rows: Iterable[tuple[str]]) -> list[Key]:
    return [key_of_text(text) for (text,) in rows]
