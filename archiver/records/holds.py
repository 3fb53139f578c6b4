"""Tenants that the monthly run leaves alone: they were restored, and somebody may be at work with their rows."""

from __future__ import annotations

from collections.abc import Collection

from archiver.postgres.operator import host, operator
from archiver.postgres.session import Session


def hold(master: Session, tenant_ids: Collection[int]) -> None:
    """Leaves tenants alone from now on; belongs into the transaction that ends their way back."""
    master.execute(
        "INSERT INTO archiver.held (tenant_id, operator, host)"
        " SELECT id, %s, %s FROM unnest(%s::bigint[]) id ON CONFLICT DO NOTHING",
        (operator(), host(), list(tenant_ids)),
        doing="holding back what was restored",
    )


def release(master: Session, tenant_id: int | None = None) -> list[int]:
    """Lets the monthly run take a tenant's rows again, or everybody's; whose that were held."""
    rows = master.rows(
        "DELETE FROM archiver.held WHERE %s IS NULL OR tenant_id = %s RETURNING tenant_id",
        (tenant_id, tenant_id),
        doing="releasing what was held back",
    )
    return sorted(row[0] for row in rows)


def on_hold(master: Session) -> frozenset[int]:
    """Who is left alone."""
    return frozenset(row[0] for row in master.rows("SELECT tenant_id FROM archiver.held", doing="asking who is held"))
