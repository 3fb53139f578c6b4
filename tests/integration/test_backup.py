"""Backups that this tool takes and sends: each can be brought back, and whatever is wrong with one is found."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import botocore.session
import pytest

from archiver.store.bucket import Bucket, file_digests
from archiver.store.multipart import PART
from errors import CutoverError, DamagedError, LockedError, UsageError
from inventory.model import Backups, Database, Store, Way
from platforms.backup import Backup, home_of, newest, take
from platforms.backup_copy import newest_stored, send
from rehearsal import postgres_programs, postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from tests import oracle
from tests.conftest import ROLE

TAKE = "import pickle, sys; from platforms.backup import take; take(*pickle.load(sys.stdin.buffer), print)"


@dataclass(frozen=True)
class Server:
    """A database whose backups lie in a folder of the test and in a prefix of the store."""

    database: Database
    backups: Backups

    def take(self, way: Way = Way.DUMP) -> Backup:
        return take(replace(self.backups, way=way), self.database, print)

    def send(self, backup: Backup) -> str:
        return send(backup, self.backups, print)

    @property
    def stored(self) -> dict[str, str]:
        return newest_stored(self.backups, self.database.name)


@pytest.fixture
def server(cluster: Cluster, store_server: Store, tmp_path: Path) -> Server:
    database = Database(
        name="shard_1",
        host="db-shard-1",
        connection=cluster.connection(dbname="template_shard_1"),
        backup_directory=str(tmp_path / "backups"),
    )
    store = replace(store_server, prefix=f"backups/{tmp_path.name}")
    return Server(database, Backups(way=Way.DUMP, store=store, programs=str(cluster.programs.bin)))


def fetched(store: Store, below: str, folder: Path) -> Path:
    """Every object below a key, fetched by a person who knows nothing of this tool."""
    core = botocore.session.Session()
    core.set_config_variable("credentials_file", str(store.credentials))
    session = boto3.Session(botocore_session=core, region_name=store.region)
    client, start = session.client("s3", endpoint_url=store.endpoint), f"{store.prefix}/{below}"

    def fetch(key: str) -> None:
        path = folder / key.removeprefix(start)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(client.get_object(Bucket=store.bucket, Key=key)["Body"].read())

    pages = client.get_paginator("list_objects_v2").paginate(Bucket=store.bucket, Prefix=start)
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fetch, keys))
    return folder


@pytest.fixture(scope="module")
def small(servers_home: Path) -> Iterator[Cluster]:
    """A server of its own, of which a copy is soon made."""
    with reserved(1) as reservation:
        cluster = Cluster(
            programs=postgres_programs.find(servers_home, {}),
            name="small",
            folder=servers_home / "small",
            port=reservation.ports[0],
            passfile=servers_home / "passfile of small",
        )
        postgres_server.write_passfile(cluster.passfile, "*", "of small")
        postgres_server.create(cluster, password="of small", settings={"fsync": "off"})
        postgres_server.start(cluster)
    cluster.sql("CREATE TABLE rows AS SELECT id, repeat('x', id % 100) AS text FROM generate_series(1, 20000) id")
    yield cluster
    postgres_server.remove(cluster)


def test_a_base_backup_is_stored_and_a_server_starts_from_the_stored_copy(
    server: Server, small: Cluster, servers_home: Path, tmp_path: Path
) -> None:
    server = replace(server, database=replace(server.database, connection=small.connection()))
    backup = server.take(Way.BASE)
    server.send(backup)

    assert server.stored["sha256"] == backup.sha256
    assert backup.to_json()["verified"] is True
    there = fetched(server.backups.store, f"shard_1/files/{backup.name}/", tmp_path / "fetched")
    with reserved(1) as reservation:
        again = replace(small, name="again", folder=servers_home / "again", port=reservation.ports[0])
        _started_from(there, backup.empty, again)
    try:
        digest = "SELECT count(*), md5(string_agg(rows::text, ',' ORDER BY id)) FROM rows"
        assert again.sql(digest) == small.sql(digest)
    finally:
        postgres_server.remove(again)


def _started_from(copy: Path, empty: tuple[str, ...], cluster: Cluster) -> None:
    """Start a server from a copy, as a person brings it back: the files, the empty folders, and their owner."""
    cluster.programs.make_folder(cluster.folder)
    shutil.copytree(copy / "data", cluster.data)
    for folder in empty:
        (cluster.data / Path(folder).relative_to("data")).mkdir(parents=True)
    for path in (cluster.data, *cluster.data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if cluster.programs.owner is not None:
            os.chown(path, cluster.programs.owner, -1)
    postgres_server.configure(cluster)
    postgres_server.start(cluster)


def test_a_dump_is_stored_and_restored_from_the_stored_copy(
    server: Server, cluster: Cluster, empty: str, tmp_path: Path
) -> None:
    backup = server.take(Way.DUMP)
    server.send(backup)

    assert newest(server.database) == backup
    there = fetched(server.backups.store, f"shard_1/files/{backup.name}/", tmp_path / "fetched")
    cluster.programs.run("pg_restore", f"--dbname={empty}", "--no-owner", f"--role={ROLE}", str(there / "data"))
    assert oracle.snapshot({"shard_1": empty}) == oracle.snapshot({"shard_1": cluster.dsn(dbname="template_shard_1")})


def test_a_backup_is_sent_once_and_missing_files_are_sent_again(server: Server) -> None:
    backup = server.take()
    bucket, below = Bucket(server.backups.store), f"shard_1/files/{backup.name}"
    assert server.stored == {}
    half, rest = backup.files[:3], backup.files[3:]
    for file in half:  # all that a killed run got done
        path = backup.folder / file.path
        bucket.put(f"{below}/{file.path}", path, file_digests(path))
    assert server.stored == {}  # the list comes last
    before = {stored.location: stored.modified for stored in bucket.objects(below)}

    server.send(backup)

    after = {stored.location: stored.modified for stored in bucket.objects(below)}
    assert before.items() <= after.items()
    assert len(after) == len(half) + len(rest)
    assert server.stored == {"location": bucket.location(f"shard_1/lists/{backup.name}.json"), "sha256": backup.sha256}
    server.send(backup)
    assert {stored.location: stored.modified for stored in bucket.objects(below)} == after


def test_a_stored_copy_that_lacks_a_file_proves_nothing(server: Server) -> None:
    backup = server.take()
    server.send(backup)
    Bucket(server.backups.store).delete(f"shard_1/files/{backup.name}/{backup.files[0].path}")

    with pytest.raises(DamagedError, match=r"lacks 1 of its files, the first is data/"):
        _ = server.stored


def test_a_large_file_goes_in_parts_and_another_never_takes_its_place(server: Server, tmp_path: Path) -> None:
    file, other = tmp_path / "large", tmp_path / "other"
    file.write_bytes(os.urandom((11 << 20) + 17))
    other.write_bytes(os.urandom(11 << 20))
    bucket = Bucket(server.backups.store, largest=1 << 20, part=5 << 20)

    bucket.put("large", file, file_digests(file))
    bucket.put("large", file, file_digests(file))

    assert bucket.get("large", tmp_path / "back").sha256 == file_digests(file).sha256
    with pytest.raises(CutoverError, match="another object exists there"):
        bucket.put("large", other, file_digests(other))
    with pytest.raises(DamagedError, match="it has changed since it was hashed"):
        bucket.put("changed", other, file_digests(file))
    assert bucket.text("changed") is None
    assert PART * 10_000 > 500 << 30  # S3 takes no more parts


@pytest.mark.parametrize(("way", "rows"), [(Way.BASE, "base/*/*"), (Way.DUMP, "*.gz")])
def test_corrupt_bytes_are_found_before_a_backup_has_its_name(
    server: Server, small: Cluster, way: Way, rows: str, tmp_path: Path
) -> None:
    """The program that takes it does so, and then spoils the largest file of rows."""
    server = replace(server, database=replace(server.database, connection=small.connection()))
    real = server.backups.programs
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_verifybackup", "pg_restore"):
        (programs / name).write_text(f'#!/bin/sh\nexec {real}/{name} "$@"\n')
    for name in ("pg_basebackup", "pg_dump"):
        (programs / name).write_text(
            f'#!/bin/sh\n{real}/{name} "$@" || exit\n'
            f"file=$(ls -S {home_of(server.database)}/*.part/data/{rows} | head -n 1)\n"
            'printf spoilt | dd of="$file" bs=1 seek=100 conv=notrunc 2>/dev/null\n'
        )
    for program in programs.iterdir():
        program.chmod(0o755)
    spoilt = replace(server, backups=replace(server.backups, programs=str(programs)))

    with pytest.raises(CutoverError, match=r"pg_(verifybackup|restore) failed with exit code 1"):
        spoilt.take(way)

    assert newest(server.database) is None
    assert server.take(way).untouched
    assert len(list(home_of(server.database).iterdir())) == 1  # what was spoilt is gone


def test_a_file_that_was_written_since_is_not_verified_any_more(server: Server) -> None:
    backup = server.take()
    path = backup.folder / backup.files[0].path
    kept = path.stat()
    content = path.read_bytes()

    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert backup.to_json()["verified"] is False

    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # a disk that forgets does not tell
    with pytest.raises(DamagedError, match="has changed since it was verified"):
        server.send(backup)
    assert server.stored == {}


def test_a_password_goes_to_a_program_by_a_variable_and_not_on_its_command_line(server: Server, tmp_path: Path) -> None:
    """A config var of Heroku says it."""
    programs = tmp_path / "telling"
    programs.mkdir()
    (programs / "pg_dump").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/words\necho "$PGPASSWORD" > {tmp_path}/said\nexit 3\n'
    )
    (programs / "pg_dump").chmod(0o755)
    connection = {**server.database.connection, "password": "hunter2 of Heroku"}
    telling = Server(replace(server.database, connection=connection), replace(server.backups, programs=str(programs)))

    with pytest.raises(CutoverError, match="pg_dump failed with exit code 3: no error output"):
        telling.take()

    assert (tmp_path / "said").read_text() == "hunter2 of Heroku\n"
    assert "dbname=template_shard_1" in (tmp_path / "words").read_text()
    assert "hunter2" not in (tmp_path / "words").read_text()


def test_a_folder_that_cannot_be_written_is_an_error_in_one_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    elsewhere = replace(server, database=replace(server.database, backup_directory=str(tmp_path / "file")))

    with pytest.raises(CutoverError, match=r"Using the folder \S+/file/shard_1 failed: Not a directory\."):
        elsewhere.take()


def test_no_backup_is_taken_where_other_users_could_replace_it(server: Server) -> None:
    home = home_of(server.database)
    home.mkdir(parents=True)
    home.chmod(0o777)

    with pytest.raises(UsageError, match="every user may write to"):
        server.take()

    assert list(home.iterdir()) == []


def test_a_folder_of_backups_that_others_could_read_is_closed(server: Server) -> None:
    home = home_of(server.database)
    home.mkdir(parents=True)
    home.chmod(0o755)

    server.take()

    assert home.stat().st_mode & 0o777 == 0o700


def test_files_of_others_in_the_folder_stay(server: Server) -> None:
    theirs = home_of(server.database) / "download.part"
    theirs.mkdir(parents=True)

    backup = server.take()

    assert theirs.exists()
    assert newest(server.database) == backup


@pytest.fixture
def slow(server: Server, tmp_path: Path) -> Iterator[Server]:
    """A server whose pg_dump waits until a file is gone."""
    programs, flag = tmp_path / "slow", tmp_path / "flag"
    programs.mkdir()
    flag.touch()
    (programs / "pg_dump").write_text(
        f'#!/bin/sh\nwhile [ -e "{flag}" ]; do sleep 0.05; done\nexec {server.backups.programs}/pg_dump "$@"\n'
    )
    (programs / "pg_dump").chmod(0o755)
    yield replace(server, backups=replace(server.backups, programs=str(programs)))
    flag.unlink(missing_ok=True)


def test_a_killed_run_leaves_no_backup_and_its_program_keeps_others_out_until_it_ends(
    server: Server, slow: Server, tmp_path: Path
) -> None:
    home = home_of(server.database)
    killed = subprocess.Popen([sys.executable, "-c", TAKE], stdin=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert killed.stdin
    killed.stdin.write(pickle.dumps((slow.backups, slow.database)))
    killed.stdin.close()
    (part,) = await_condition(lambda: list(home.glob("*.part")), doing="Waiting for a beginning", seconds=20)
    await_condition(lambda: _children(killed.pid), doing="Waiting for pg_dump", seconds=20)
    killed.kill()
    killed.wait()

    with pytest.raises(LockedError, match="Another backup is being taken"):
        server.take()
    assert newest(server.database) is None

    (tmp_path / "flag").unlink()
    backup = await_condition(lambda: _taken(server), doing="Waiting for the lock", seconds=20)
    assert backup.untouched
    assert not part.exists()


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


def _taken(server: Server) -> Backup | None:
    try:
        return server.take()
    except LockedError:
        return None
