"""Nothing is lost: each row is live or in a stored object that a record names, read with plain Python alone."""

from __future__ import annotations

import configparser
import gzip
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import psycopg2

from inventory.keys import Key, key_text
from inventory.model import Store
from tests import oracle
from tests.oracle import Snapshot
from tests.worlds import World

Counted = Mapping[tuple[str, str], Counter[bytes]]  # rows by database and table, as COPY lines


@dataclass(frozen=True, kw_only=True)
class Books:
    """Master's records and log of a school."""

    records: list[tuple[str, str]]  # state and location
    kept: set[str]  # tables of which rows stayed live beside their copy in the archive
    acts: Counter[str]  # of the log


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A stored archive: its rows, and which columns of each table they carry."""

    rows: Counted
    carried: Mapping[tuple[str, str], list[bool]]

    def lacks(self, table: tuple[str, str], lines: Counter[bytes]) -> int:
        """Return the number of these rows, in the oracle's words, that the archive does not hold."""
        if table not in self.carried:
            return lines.total()
        return (self.shown(table, lines) - self.rows[table]).total()

    def shown(self, table: tuple[str, str], lines: Counter[bytes]) -> Counter[bytes]:
        """Rows, in the oracle's words, as archives show them: without generated columns."""
        return Counter(shown(line, self.carried[table]) for line in lines.elements())


def lost(world: World, before: Snapshot, live: Snapshot, school: int) -> int:
    """Return the number of rows neither live nor in the object of the school's record; none may be live twice."""
    missing, surplus = gone(before, live), gone(live, before)
    assert not surplus, f"rows are live twice, or are new: {oracle.difference(before, live)}"
    if not missing:
        return 0
    entries = books(world, school).records
    assert len(entries) == 1, f"rows are gone, and the records say {entries}"
    archive = stored(world.environment.store, entries[0][1])
    return sum(archive.lacks(table, lines) for table, lines in missing.items())


def lost_of_many(world: World, before: Snapshot, live: Snapshot, schools: Iterable[int]) -> int:
    """The same of several schools, each with at most one record that names an object."""
    missing, surplus = gone(before, live), gone(live, before)
    assert not surplus, f"rows are live twice, or are new: {oracle.difference(before, live)}"
    if not missing:
        return 0
    archives = [
        stored(world.environment.store, location)
        for school in schools
        for state, location in books(world, school).records
        if state in ("verified", "deleting", "archived")
    ]
    together = Stored(
        rows={table: _sum(archive.rows.get(table, Counter()) for archive in archives) for table in missing},
        carried={table: carried for archive in archives for table, carried in archive.carried.items()},
    )
    return sum(together.lacks(table, lines) for table, lines in missing.items())


def _sum(counters: Iterable[Counter[bytes]]) -> Counter[bytes]:
    total: Counter[bytes] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def books(world: World, school: Key) -> Books:
    """Read a school's records and log."""
    link = psycopg2.connect(world.dsns["master"])
    try:
        with link.cursor() as cursor:
            cursor.execute(
                "SELECT state, location FROM archiver.archives WHERE kind = 'tenant' AND key = %s", (key_text(school),)
            )
            entries = cursor.fetchall()
            cursor.execute(
                "SELECT DISTINCT jsonb_object_keys(kept) FROM archiver.archives WHERE kind = 'tenant' AND key = %s",
                (key_text(school),),
            )
            kept = {row[0] for row in cursor.fetchall()}
            cursor.execute("SELECT act FROM archiver.log WHERE key = %s", (key_text(school),))
            return Books(records=entries, kept=kept, acts=Counter(row[0] for row in cursor.fetchall()))
    finally:
        link.close()


def stored(store: Store, location: str) -> Stored:
    """Fetch and read an archive, knowing of its format only what its README says."""
    return _read(fetched(store, location))


def stored_month(store: Store, location: str) -> list[Stored]:
    """Fetch and read the slices of a month's object, the same way."""
    with tarfile.open(fileobj=io.BytesIO(fetched(store, location))) as tar:
        return [_read(content(tar, entry)) for entry in tar if entry.name.endswith(".tar.gz")]


def _read(tarball: bytes) -> Stored:
    rows, carried = {}, {}
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(tarball))) as tar:
        files = {entry.name: content(tar, entry) for entry in tar}
    manifest = json.loads(files["manifest.json"])
    for kind, schema in manifest["schemas"].items():
        database = "master" if kind == "master" else manifest["shard"]
        for name, table in schema["tables"].items():
            rows[database, name] = Counter(files[f"{kind}/{name}.copy"].splitlines(keepends=True))
            carried[database, name] = [column["generated"] is None for column in table["columns"]]
    return Stored(rows=rows, carried=carried)


def content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    """A member's bytes."""
    source = tar.extractfile(entry)
    assert source is not None, entry.name
    return source.read()


def fetched(store: Store, location: str) -> bytes:
    """The bytes of an object."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bytes(client(store).get_object(Bucket=bucket, Key=key)["Body"].read())


@cache
def client(store: Store) -> Any:
    """A client of its own for the store."""
    assert store.credentials
    profile = configparser.ConfigParser()
    profile.read(store.credentials)
    keys = profile["default"]
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        region_name=store.region,
        aws_access_key_id=keys["aws_access_key_id"],
        aws_secret_access_key=keys["aws_secret_access_key"],
    )


def shown(line: bytes, carried: list[bool]) -> bytes:
    """A row, in the oracle's words, as an archive shows it that carries these columns."""
    cells = line[:-1].split(b"\t")
    return b"\t".join(cell for cell, wanted in zip(cells, carried, strict=True) if wanted) + b"\n"


def gone(before: Snapshot, after: Snapshot) -> dict[tuple[str, str], Counter[bytes]]:
    """The rows of one state that another lacks."""
    rows_gone = {}
    for database, tables in before.tables.items():
        for table, lines in tables.items():
            found = after.tables[database][table]
            if lines != found and (rows := Counter(lines) - Counter(found)):
                rows_gone[database, table] = rows
    return rows_gone
