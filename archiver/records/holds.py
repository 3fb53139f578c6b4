"""Tenants on hold: they were restored, and the monthly run takes none of their rows until they are released."""

from __future__ import annotations

from collections.abc import Collection

from archiver.postgres.operator import host, operator
from archiver.postgres.session import Session
from inventory.keys import Key, key_order


def hold(master: Session, tenant_ids: Collection[Key]) -> None:
    """Put tenants on hold. Call it in the transaction that ends their restore."""
    master.execute(
        "INSERT INTO archiver.held (tenant_id, operator, host)"
        " SELECT id, %s, %s FROM unnest(%s::bigint[]) id ON CONFLICT DO NOTHING",
        (operator(), host(), list(tenant_ids)),
        doing="putting restored tenants on hold",
    )


def release(master: Session, tenant_id: Key | None = None) -> list[Key]:
    """Release one hold, or all. Return the tenant ids released, sorted."""
    rows = master.rows(
        "DELETE FROM archiver.held WHERE %s IS NULL OR tenant_id = %s RETURNING tenant_id",
        (tenant_id, tenant_id),
        doing="releasing holds",
    )
    return sorted((row[0] for row in rows), key=key_order)


def on_hold(master: Session) -> frozenset[Key]:
    """Return the ids of the tenants on hold."""
    return frozenset(row[0] for row in master.rows("SELECT tenant_id FROM archiver.held", doing="reading the holds"))
