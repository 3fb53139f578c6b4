"""What all machines of an environment see, on a real S3 server."""

from __future__ import annotations

from dataclasses import replace

from inventory.model import Store
from runbooks.night.live_ports import StoreShelf


def test_of_two_who_keep_a_text_by_one_name_one_is_told(store_server: Store) -> None:
    shelf = StoreShelf(replace(store_server, prefix="shelf"))

    assert shelf.put_new("nights/1", "mine")
    assert shelf.put_new("nights/1", "mine")  # its answer was lost, and it asks again
    assert not shelf.put_new("nights/1", "yours")

    assert (shelf.get("nights/1"), shelf.get("nights/2")) == ("mine", None)
    assert shelf.put_new("nights/0", "before")
    assert shelf.put_new("elsewhere/1", "of another kind")
    assert shelf.names("nights/") == ["nights/0", "nights/1"]
