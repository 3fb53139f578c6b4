"""A pooler between the tool and a database: nothing is ever set on a connection that is the product's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import pytest

from archiver.postgres.session import connect
from errors import CutoverError
from inventory.model import Database
from rehearsal.postgres_server import Cluster
from runbooks.engine.model.actions import SqlQuery
from runbooks.night.live_ports import Databases
from tests.cases.runbook_pooler import before
from tests.conftest import ROLE

Door = Callable[[Mapping[str, str]], object]


def look(connection: Mapping[str, str]) -> None:
    """Query through a connection as preflight does, which only reads."""
    databases = Databases({"master": Database(name="master", host="db-master", connection=connection)})
    databases.query(SqlQuery(database="master", name="anything", statement="SELECT 1"))


def work(connection: Mapping[str, str]) -> None:
    """Open a session and a transaction as the archiver does."""
    session = connect(connection, name="test")
    with session.transaction():
        session.rows("SELECT 1")
    session.close()


@pytest.mark.parametrize("door", [look, work])
def test_no_setting_of_ours_reaches_the_product_through_a_transaction_pooler(cluster: Cluster, door: Door) -> None:
    """Refused or not, it finds its connection as it was, between our transactions and after the last."""
    with before(cluster.port) as pooler, suppress(CutoverError):
        door({**cluster.connection(dbname="postgres", user=ROLE), "port": str(pooler.port)})

    first, *later = pooler.found
    assert first["search_path"] == '"$user", public'
    assert [found for found in later if found != first] == []
