"""Archives that an earlier version of this tool wrote come back whole, into databases that hold nothing else."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg2.sql import SQL, Identifier

from archiver.store.bucket import Bucket, file_digests
from tests.oracle import SETTINGS
from tests.worlds import NewWorld, World, sql

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").glob("format-*/*.tar.gz"))


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """An archive, read with tar, gzip and JSON alone."""

    path: Path
    manifest: Mapping[str, Any]
    lines: Mapping[str, list[bytes]]  # by member: COPY text, sorted

    @property
    def databases(self) -> Mapping[str, str]:
        """The inventory's name of each of the archive's databases."""
        return {"master": "master", "shard": self.manifest["shard"]}

    def columns(self, member: str) -> list[str]:
        """The columns of a member, in their order."""
        database, table = member.removesuffix(".copy").split("/")
        listed = self.manifest["schemas"][database]["tables"][table]["columns"]
        return [column["name"] for column in listed if column["generated"] is None]


def read(path: Path) -> Fixture:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as tar:
        members = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    manifest = json.loads(members["manifest.json"])
    lines = {name: sorted(members[name].splitlines(keepends=True)) for name in manifest["members"]}
    return Fixture(path=path, manifest=manifest, lines=lines)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_archive_of_an_earlier_version_comes_back_whole(new_world: NewWorld, path: Path) -> None:
    fixture = read(path)
    with new_world(tuple(fixture.databases.values())) as world:
        empty_but_for_its_district(world, fixture)
        record_and_store(world, fixture)

        [restored] = world.restore(fixture.manifest["tenant_id"])

        assert sum(table.inserted for table in restored.result().values()) == sum(map(len, fixture.lines.values()))
        assert {name: live(world, fixture, name) for name in fixture.lines} == fixture.lines


def empty_but_for_its_district(world: World, fixture: Fixture) -> None:
    """Leave the one row that a foreign key of the archive asks for."""
    for database in fixture.databases.values():
        with sql(world, database) as cursor:
            cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
            tables = SQL(", ").join(Identifier(row[0]) for row in cursor.fetchall())
            cursor.execute(SQL("TRUNCATE {}").format(tables))
    [school] = fixture.lines["master/schools.copy"]
    district = school.decode().split("\t")[fixture.columns("master/schools.copy").index("district_id")]
    with sql(world, "master") as cursor:
        cursor.execute(f"INSERT INTO districts (id, created_at, updated_at) VALUES ({district}, now(), now())")


def record_and_store(world: World, fixture: Fixture) -> None:
    """Put the archive and its record where the version that wrote it left them."""
    manifest, bucket, key = fixture.manifest, Bucket(world.environment.store), f"2013/1/x/{fixture.path.name}"
    bucket.put(key, fixture.path, file_digests(fixture.path))
    with world.archiver(), sql(world, "master") as cursor:
        cursor.execute(
            "INSERT INTO archiver.archives (kind, key, tenant_name, year, shard, depth, state, location, fingerprint,"
            " size, sha256, members, operator, host, archived_at)"
            " VALUES ('tenant', %s::text, %s, %s, %s, 'all', 'archived', %s, %s, %s, %s, %s, 'ann', 'debug', now())",
            (
                *(manifest[name] for name in ("tenant_id", "tenant_name", "year", "shard")),
                *(bucket.location(key), manifest["fingerprint"], fixture.path.stat().st_size),
                *(hashlib.sha256(fixture.path.read_bytes()).hexdigest(), json.dumps(manifest["members"])),
            ),
        )


def live(world: World, fixture: Fixture, member: str) -> list[bytes]:
    """The live rows of a member's table, as COPY text."""
    database, table = member.removesuffix(".copy").split("/")
    sink = io.BytesIO()
    with sql(world, fixture.databases[database]) as cursor:
        cursor.execute(SETTINGS)
        columns = SQL(", ").join(map(Identifier, fixture.columns(member)))
        cursor.copy_expert(SQL("COPY {} ({}) TO STDOUT").format(Identifier(table), columns), sink)
    return sorted(sink.getvalue().splitlines(keepends=True))
