"""Many schools at once: what one pass over each table finds is what is found school by school."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from archiver import tenants
from archiver.archive import Archiver
from archiver.bulk import passes
from archiver.extract import Extract, IdArrays
from archiver.tenants import Exclude, Tenant
from tests.worlds import SHARDS, YEAR, World


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
            (tmp_path / shard).mkdir()
            together = passes.extract(site, archiver.model, schools, YEAR, tmp_path / shard, memory)
            for school, extract in zip(schools, together, strict=True):
                [alone] = IdArrays().extract(site, archiver.model, [school], YEAR, tmp_path)
                assert rows_of(extract) == rows_of(alone), school
                assert {name: (one.rows, one.bytes) for name, one in extract.manifest.members.items()} == {
                    name: (one.rows, one.bytes) for name, one in alone.manifest.members.items()
                }
                assert all(
                    extract.manifest.highest[name] >= alone.manifest.highest[name] for name in alone.manifest.highest
                )
