"""An environment's archiver, ready to work: sessions, bucket, model and work folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from archiver.catalog.model import MASTER, SHARD, resolve
from archiver.completeness.live import LiveCatalogue, read_live
from archiver.format import encryption
from archiver.postgres.databases import Databases
from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import prepare, refuse_newer
from archiver.postgres.session import Session, connect
from archiver.runs.context import Archiver
from archiver.store.bucket import Bucket
from archiver.store.schemas import StoredSchemas
from archiver.verify.scratch import ScratchDatabase
from inventory.load import load_catalog, load_migrations, refuse_if_down
from inventory.model import Database, Environment


def read_environment(environment: Environment) -> dict[str, LiveCatalogue]:
    """What master and the first shard say of their tables, for a catalog that is not written yet."""
    refuse_if_down(environment)
    databases = dict(zip((MASTER, SHARD), (environment.master, *environment.shards), strict=False))
    return {kind: read_database(database.connection) for kind, database in databases.items()}


def read_database(connection: Mapping[str, str]) -> LiveCatalogue:
    """What one database says of its tables."""
    with closing(connect(connection, name=f"archive.catalog-draft by {operator()}@{host()}")) as session:
        return read_live(session)


@contextmanager
def databases_of(environment: Environment, purpose: str) -> Iterator[Databases]:
    """The databases of an environment; `purpose` is what others see at work, such as `archive.school 13`.

    A database whose archiver's tables a newer version of this tool made is refused as it is opened, with RefusedError.
    """
    refuse_if_down(environment)
    name = f"{purpose} by {operator()}@{host()} pid {os.getpid()}"

    def open_database(database: str) -> Session:
        session = connect(environment.databases[database].connection, name=name)
        try:
            refuse_newer(session)
        except BaseException:
            session.close()
            raise
        return session

    place = Databases(
        open=open_database,
        model=resolve(load_catalog(environment.catalog)),
        shards=tuple(database.name for database in environment.shards),
        migrations=load_migrations(environment.migrations),
    )
    try:
        yield place
    finally:
        place.close()


@contextmanager
def archiver(environment: Environment, purpose: str, *, identity: str = "") -> Iterator[Archiver]:
    """All that archiving and restoring need; the archiver's own tables are made where they are missing.

    `identity` is a file that opens archives of earlier runs. Raises UsageError for keys that are none.
    """
    keys = encryption.keys(environment.store.recipients, identity)
    with databases_of(environment, purpose) as databases:
        # Each is opened, and refused where it must be, before the first is brought up to date.
        for opened in [databases.session(database) for database in (MASTER, *databases.shards)]:
            prepare(opened)
        with scratch(environment, purpose) as session:
            bucket = Bucket(environment.store)
            yield Archiver(
                databases=databases,
                bucket=bucket,
                schemas=StoredSchemas(bucket),
                scratch=ScratchDatabase(session),
                keys=keys,
                work=spool_folder(),
                fence=environment.fence,
            )


@contextmanager
def scratch(environment: Environment, purpose: str) -> Iterator[Session]:
    """The database in which archives are loaded for a proof or a look, and where nothing stays."""
    session = connect(environment.scratch.connection, name=purpose)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def upkeep_sessions(environment: Environment, database: Database, purpose: str) -> Iterator[tuple[Session, Session]]:
    """Two sessions on one database: one that works, and one that watches and can stop it."""
    name = f"{purpose} by {operator()}@{host()} pid {os.getpid()}"
    with (
        closing(connect(database.connection, name=name)) as worker,
        closing(connect(database.connection, name=f"watching {name}")) as watcher,
    ):
        yield worker, watcher


def spool_folder() -> Path:
    """Where rows lie between COPY and tarball: people's data, so only for this user's eyes."""
    folder = Path(tempfile.gettempdir()) / f"cutover-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
