"""Receivers of a server's WAL: a standby, a WAL archiver that reports all of it as applied, a subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import connection
from psycopg2.extras import REPLICATION_PHYSICAL, LogicalReplicationConnection, PhysicalReplicationConnection

from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition

BEHIND = 1  # a place in the WAL that every server left behind long ago


@contextmanager
def standby(primary: Cluster, name: str, *, applied: int | None = None) -> Iterator[None]:
    """Yield a standby, or a client that resembles one: it has applied all WAL, unless another position is given."""
    now = _place(primary)
    with _connected(primary, name, PhysicalReplicationConnection) as link:
        cursor = link.cursor()
        cursor.start_replication(slot_type=REPLICATION_PHYSICAL, start_lsn=now)
        cursor.send_feedback(now, now, applied or now, force=True)
        _await_streaming(primary, link)
        yield


@contextmanager
def subscriber(primary: Cluster, name: str) -> Iterator[None]:
    """A subscription of another database to the product's tables, with the slot of the same name that it needs."""
    primary.sql(f"CREATE PUBLICATION {name} FOR ALL TABLES")
    primary.sql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
    try:
        with _connected(primary, name, LogicalReplicationConnection) as link:
            cursor = link.cursor()
            cursor.start_replication(slot_name=name, options={"proto_version": "1", "publication_names": name})
            now = _place(primary)
            cursor.send_feedback(now, now, now, force=True)
            _await_streaming(primary, link)
            yield
    finally:
        primary.sql(f"SELECT pg_drop_replication_slot('{name}')")
        primary.sql(f"DROP PUBLICATION {name}")


@contextmanager
def slot(primary: Cluster, name: str) -> Iterator[None]:
    """A slot that a standby left, and that keeps WAL for it."""
    primary.sql(f"SELECT pg_create_physical_replication_slot('{name}', true)")
    try:
        yield
    finally:
        primary.sql(f"SELECT pg_drop_replication_slot('{name}')")


@contextmanager
def setting(primary: Cluster, name: str, value: str) -> Iterator[None]:
    """A setting of the server, which has none of it before and after."""
    _set(primary, name, value)
    try:
        yield
    finally:
        _set(primary, name, "")


@contextmanager
def _connected(primary: Cluster, name: str, factory: type[connection]) -> Iterator[Any]:
    link: Any = psycopg2.connect(f"{primary.dsn()} application_name={name}", connection_factory=factory)
    pid = link.info.backend_pid
    try:
        yield link
    finally:
        link.close()
        gone = f"SELECT count(*) FROM pg_stat_replication WHERE pid = {pid}"
        await_condition(lambda: primary.sql(gone) == "0", doing=f"Waiting for the end of {name}", seconds=10)


def _await_streaming(primary: Cluster, link: connection) -> None:
    streams = f"SELECT state, replay_lsn IS NOT NULL FROM pg_stat_replication WHERE pid = {link.info.backend_pid}"
    await_condition(lambda: primary.sql(streams) == "streaming|t", doing="Waiting for a receiver", seconds=10)


def _set(primary: Cluster, name: str, value: str) -> None:
    primary.sql(f"ALTER SYSTEM SET {name} = '{value}'")
    primary.sql("SELECT pg_reload_conf()")
    await_condition(lambda: primary.sql(f"SHOW {name}") == value, doing=f"Waiting for {name}", seconds=10)


def _place(primary: Cluster) -> int:
    """Return the server's current place in the WAL."""
    return int(primary.sql("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn"))
