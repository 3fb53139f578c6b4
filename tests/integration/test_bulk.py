"""Many schools at once: what one pass over each table finds is what is found school by school."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from archiver import tenants
from archiver.archive import Archiver
from archiver.bulk import passes
from archiver.extract import Extract, extract
from archiver.tenants import Exclude, Tenant
from inventory.model import Depth
from tests import oracle
from tests.worlds import SHARDS, YEAR, World, same, school_ids


def schools_of(archiver: Archiver, shard: str) -> list[Tenant]:
    everybody = tenants.all_but(archiver.place.master, archiver.model.tenant, Exclude())
    return [tenant for tenant in everybody if tenant.shard == shard]


def rows_of(extract: Extract) -> Mapping[str, list[bytes]]:
    return {name: sorted(b"".join(rows.chunks()).splitlines()) for name, rows in extract.rows.items()}


@pytest.mark.parametrize("memory", [1 << 28, 2000])
def test_a_pass_finds_for_each_school_what_is_found_for_it_alone(world: World, tmp_path: Path, memory: int) -> None:
    with world.archiver() as archiver:
        for shard in SHARDS:
            site, schools = archiver.place.site(shard), schools_of(archiver, shard)
            with (tmp_path / shard).open("w+b") as file:
                together = passes.extract(site, archiver.model, schools, YEAR, file, memory)
                for school, found in zip(schools, together, strict=True):
                    alike(found, extract(site, archiver.model, school, YEAR, tmp_path))


def alike(found: Extract, alone: Extract) -> None:
    assert rows_of(found) == rows_of(alone)
    assert {name: (one.rows, one.bytes) for name, one in found.manifest.members.items()} == {
        name: (one.rows, one.bytes) for name, one in alone.manifest.members.items()
    }
    assert all(found.manifest.highest[name] >= value for name, value in alone.manifest.highest.items())


@pytest.mark.parametrize("depth", Depth)
def test_together_leaves_what_one_by_one_would_leave_and_all_come_back(world: World, depth: Depth) -> None:
    before, ids = oracle.snapshot(world.dsns), school_ids(world)
    chosen = [school for school in ids if school % 7]
    expected = oracle.expected_after_archiving(world.dsns, chosen, depth.value, before)
    ways: list[str] = []

    world.archive_together(*chosen, depth=depth, way=ways.append)

    same(expected, oracle.snapshot(world.dsns))
    assert any("emptied" in way for way in ways)
    with world.by_one_worker() as worker:
        worker.restore(*chosen)
    same(before, oracle.snapshot(world.dsns))
