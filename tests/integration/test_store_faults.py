"""The store fails, lies or is gone, or the disk is full: one sentence, a whole school, and the next run succeeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.format import bundle
from archiver.format.rows import Spool
from archiver.store.bucket import Bucket
from errors import CutoverError
from rehearsal.ports import LOOPBACK, free_ports
from tests import oracle
from tests.torture import judge
from tests.torture.proxy import Proxy, Spoil, between
from tests.worlds import World

SCHOOL = 13
FULL = Path("/dev/full")  # takes no byte: the kernel's own "No space left on device"
WHILE_ARCHIVING = {
    "PUT": (Spoil.ERROR_500, Spoil.ERROR_503, Spoil.ERROR_IN_200, Spoil.SILENT),
    "GET": (Spoil.ERROR_500, Spoil.ERROR_IN_200, Spoil.CUT_OFF, Spoil.SHORT, Spoil.FLIPPED, Spoil.SILENT),
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: the pauses of seconds are the library's affair."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """A proxy before the world's store."""
    assert world.environment.store.endpoint
    with between(world.environment.store.endpoint) as proxy:
        yield proxy


def stored_at(world: World, endpoint: str) -> World:
    """The same world, with its store at another address."""
    environment = world.environment
    return replace(world, environment=replace(environment, store=replace(environment.store, endpoint=endpoint)))


def test_a_school_is_archived_whole_or_not_at_all_whatever_the_store_answers(world: World, proxy: Proxy) -> None:
    behind, before = stored_at(world, proxy.endpoint), oracle.snapshot(world.dsns)
    for method, spoils in WHILE_ARCHIVING.items():
        for spoil in spoils:
            with proxy.spoiling(method, spoil):
                fails(lambda: behind.archive(SCHOOL), spoil.value)
            assert oracle.snapshot(world.dsns) == before, spoil

    archives_and_restores(behind)


@pytest.mark.parametrize("spoil", [Spoil.LATE_500, Spoil.SILENT])
def test_a_put_whose_answer_is_lost_is_recognized_by_its_checksum(world: World, proxy: Proxy, spoil: Spoil) -> None:
    """The library asks again, hears that the object is there, and the checksum says that it is ours."""
    with stored_at(world, proxy.endpoint).by_one_worker() as worker, worker.archiver() as archiver:
        archiver.bucket.prove_conditional()  # or its trial's answer would be lost
        proxy.spoil_next("PUT", spoil)

        archives_and_restores(worker)

    assert proxy.left == 0


def test_a_school_is_restored_whole_or_stays_archived_whatever_the_store_answers(world: World, proxy: Proxy) -> None:
    behind, before = stored_at(world, proxy.endpoint), oracle.snapshot(world.dsns)
    behind.archive(SCHOOL)
    out = oracle.snapshot(world.dsns)
    for spoil in WHILE_ARCHIVING["GET"]:
        with proxy.spoiling("GET", spoil):
            fails(lambda: behind.restore(SCHOOL), spoil.value)
        assert oracle.snapshot(world.dsns) == out, spoil
        assert states(world) == ["archived"], spoil

    behind.restore(SCHOOL)
    assert oracle.snapshot(world.dsns) == before


def test_a_store_that_is_down_is_an_error_in_one_sentence_either_way(world: World) -> None:
    gone = stored_at(world, f"http://{LOOPBACK}:{free_ports(1)[0]}")
    before = oracle.snapshot(world.dsns)

    fails(lambda: gone.archive(SCHOOL), "gone")
    assert oracle.snapshot(world.dsns) == before
    world.archive(SCHOOL)
    fails(lambda: gone.restore(SCHOOL), "gone")
    assert states(world) == ["archived"]

    world.restore(SCHOOL)
    assert oracle.snapshot(world.dsns) == before


def full_spool(patch: pytest.MonkeyPatch) -> None:
    begin = Spool.__init__
    patch.setattr(Spool, "__init__", lambda spool, _: begin(spool, FULL))


def full_tarball(patch: pytest.MonkeyPatch) -> None:
    write = bundle.write
    patch.setattr(bundle, "write", lambda _, texts, files: write(FULL, texts, files))


def full_fetch(patch: pytest.MonkeyPatch) -> None:
    get = Bucket.get
    patch.setattr(Bucket, "get", lambda bucket, key, _, **more: get(bucket, key, FULL, **more))


def full_opening(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("tempfile.SpooledTemporaryFile", lambda **_: FULL.open("r+b", buffering=0))


@pytest.mark.parametrize("fill", [full_spool, full_tarball, full_fetch, full_opening])
def test_a_full_disk_is_an_error_in_one_sentence_and_changes_nothing(world: World, fill: Callable[..., None]) -> None:
    before = oracle.snapshot(world.dsns)

    with pytest.MonkeyPatch.context() as patch:
        fill(patch)
        with pytest.raises(CutoverError, match=r"Working in .* failed: No space left on device"):
            world.archive(SCHOOL)

    assert oracle.snapshot(world.dsns) == before
    archives_and_restores(world)


def test_a_disk_that_is_full_when_a_school_comes_back_leaves_it_archived(world: World) -> None:
    world.archive(SCHOOL)
    out = oracle.snapshot(world.dsns)

    for fill in (full_fetch, full_opening):
        with pytest.MonkeyPatch.context() as patch:
            fill(patch)
            with pytest.raises(CutoverError, match=r"Working in .* failed: No space left on device"):
                world.restore(SCHOOL)

        assert oracle.snapshot(world.dsns) == out
        assert states(world) == ["archived"]
    world.restore(SCHOOL)


def fails(act: Callable[[], object], how: str) -> None:
    """Assert that the error is one sentence of ours, without a traceback."""
    with pytest.raises(CutoverError) as caught:
        act()
    said = str(caught.value)
    assert "\n" not in said, (how, said)
    assert "Traceback" not in said, (how, said)
    assert "school_13" in said or "chool 13" in said, (how, said)


def states(world: World) -> list[str]:
    return [state for state, _ in judge.books(world, SCHOOL).records]


def archives_and_restores(world: World) -> None:
    """Archive and restore the school as if nothing had failed."""
    before = oracle.snapshot(world.dsns)
    expected = oracle.expected_after_archive(world.dsns, SCHOOL, "all")
    world.archive(SCHOOL)
    assert oracle.snapshot(world.dsns) == expected
    world.restore(SCHOOL)
    assert oracle.snapshot(world.dsns) == before
