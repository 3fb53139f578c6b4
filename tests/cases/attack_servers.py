"""A younger server for a world's database: what stands there after a restore from a logical dump."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg2

from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from tests.conftest import FEW_ROUNDS, PASSWORD, ROLE, SETTINGS
from tests.worlds import World


@contextmanager
def younger(cluster: Cluster) -> Iterator[Cluster]:
    """A new server, which has given out fewer transaction ids than the one that it takes the place of."""
    with reserved(1) as reservation:
        other = replace(cluster, name="younger", folder=cluster.folder.with_name("younger"), port=reservation.ports[0])
        postgres_server.create(other, password=PASSWORD, settings=SETTINGS)
        postgres_server.start(other)
    try:
        other.sql(f"{FEW_ROUNDS}; CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        yield other
    finally:
        postgres_server.remove(other)


def moved(world: World, database: str, other: Cluster) -> World:
    """The world with one database dumped, and restored on another server in one transaction."""
    where = world.environment.databases[database]
    name = where.connection["dbname"]
    dump = other.programs.run("pg_dump", "--dbname", world.dsns[database])
    other.sql(f"CREATE DATABASE {name} OWNER {ROLE}")
    other.programs.run("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", other.dsn(dbname=name), text=dump)
    connection = other.connection(dbname=name, user=ROLE)
    databases = {**world.environment.databases, database: replace(where, connection=connection)}
    return replace(
        world,
        environment=replace(world.environment, databases=databases),
        dsns={**world.dsns, database: other.dsn(dbname=name, user=ROLE)},
    )


def reach(dsn: str, number: int) -> None:
    """Use transaction ids up, as a product at work does, until the server has gone past a number."""
    link = psycopg2.connect(dsn)
    link.autocommit = True
    with link.cursor() as cursor:
        given = 0
        while given <= number:
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            [[given]] = cursor.fetchall()
    link.close()
