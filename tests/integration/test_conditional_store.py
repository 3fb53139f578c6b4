"""A store that ignores If-None-Match is refused before anything is stored, on every path that stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archiver.store.bucket import Bucket, _client, file_digests
from archiver.store.trial import TRIALS, prove_conditional
from errors import CutoverError, RefusedError
from inventory.model import Store
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.live.store_journal import StoreJournal
from runbooks.engine.model.journal import Kind
from tests import oracle
from tests.fakes import FakeClock, FakeObjectStore
from tests.months import archive_months
from tests.worlds import World

REFUSED = "the store ignores If-None-Match"


@pytest.fixture
def world(world: World) -> World:
    """A world that tries its store itself."""
    return replace(world, tried=None)


@contextmanager
def overwriting(store: Store) -> Iterator[None]:
    """Take the condition off every request to a store, as if the store did not know it."""

    def strip(request: Any, **_: object) -> None:
        if "If-None-Match" in request.headers:
            del request.headers["If-None-Match"]

    events = _client(store.endpoint, store.region, store.credentials).meta.events
    events.register_first("before-sign.s3.*", strip)
    try:
        yield
    finally:
        events.unregister("before-sign.s3.*", strip)


def test_the_journal_of_a_night_is_not_begun(store_server: Store, tmp_path: Path) -> None:
    object_store = EnvironmentStore(replace(store_server, prefix="forgetful"))
    with overwriting(store_server):
        journal = StoreJournal(
            tmp_path / "journal.jsonl", object_store, "nights/1", now=FakeClock().now, operator="chris@laptop"
        )

        with pytest.raises(RefusedError, match=REFUSED):
            journal.append(Kind.STOPPED)

    assert object_store.names("nights/") == []


def test_no_school_of_a_run_over_many_is_read(world: World) -> None:
    before = oracle.snapshot(world.dsns)

    with overwriting(world.environment.store), pytest.raises(RefusedError, match=REFUSED):
        world.archive_together(13, 17, 61)

    assert oracle.snapshot(world.dsns) == before


def test_past_months_stay_live(world: World) -> None:
    before = oracle.snapshot(world.dsns)

    with overwriting(world.environment.store), pytest.raises(CutoverError, match=REFUSED):
        archive_months(world, date(2014, 3, 5))

    assert oracle.snapshot(world.dsns) == before


def test_a_large_file_is_refused_like_a_small_one(store_server: Store, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(6 << 20))
    bucket = Bucket(replace(store_server, prefix="large"), largest=1 << 20, part=5 << 20)

    with overwriting(store_server), pytest.raises(RefusedError, match=REFUSED):
        bucket.put("2013/13/x/y", path, file_digests(path))

    assert list(bucket.keys()) == []


def test_the_trial_leaves_nothing_and_is_made_once(store_server: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, trials = Bucket(replace(store_server, prefix="tried")), []

    def counted(*given: Any) -> None:
        trials.append(given)
        prove_conditional(*given)

    monkeypatch.setattr("archiver.store.bucket.prove_conditional", counted)

    assert bucket.put_text("a", "mine")
    assert bucket.put_text("b", "mine")

    assert (len(trials), list(bucket.keys())) == (1, ["a", "b"])


class Mixing(FakeObjectStore):
    """A store that says it refused a second text, and holds it all the same."""

    def put_new(self, name: str, text: str) -> bool:
        refused = name in self.texts
        self.texts[name] = text
        return not refused


def test_a_store_that_only_says_it_refused_is_refused() -> None:
    store = Mixing()
    with pytest.raises(RefusedError, match=REFUSED):
        prove_conditional("s3://b/p/", store.put_new, store.get, store.texts.__delitem__)

    assert store.texts == {}


def test_a_trial_object_that_may_not_be_deleted_stays() -> None:
    store = FakeObjectStore()

    def forbidden(key: str) -> None:
        raise CutoverError("Deleting failed: AccessDenied.")

    prove_conditional("s3://b/p/", store.put_new, store.get, forbidden)

    assert [key.startswith(TRIALS) for key in store.texts] == [True]
