"""Objects that all machines of an environment see, on a real S3 server."""

from __future__ import annotations

from dataclasses import replace

from inventory.model import Store
from runbooks.cli.object_store import EnvironmentStore


def test_one_of_two_writers_of_the_same_name_is_refused(store_server: Store) -> None:
    object_store = EnvironmentStore(replace(store_server, prefix="shelf"))

    assert object_store.put_new("nights/1", "mine")
    assert object_store.put_new("nights/1", "mine")  # its answer was lost, and it asks again
    assert not object_store.put_new("nights/1", "yours")

    assert (object_store.get("nights/1"), object_store.get("nights/2")) == ("mine", None)
    assert object_store.put_new("nights/0", "before")
    assert object_store.put_new("elsewhere/1", "of another kind")
    assert object_store.names("nights/") == ["nights/0", "nights/1"]
