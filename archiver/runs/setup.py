"""Set up an environment's archiver: sessions, bucket, model and work folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from archiver.catalog.model import MASTER, SHARD, Model, resolve
from archiver.completeness.live import LiveCatalogue, read_live
from archiver.format import encryption
from archiver.postgres.account import refuse_uncounted
from archiver.postgres.databases import Databases
from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import prepare, refuse_newer
from archiver.postgres.session import Session, connect
from archiver.postgres.triggers import refuse_replica
from archiver.records.log_heads import head_stored
from archiver.store.bucket import Bucket
from archiver.store.schemas import StoredSchemas
from archiver.verify.scratch import ScratchDatabase
from errors import Problems
from inventory.load import load_catalog, load_migrations, refuse_if_down, with_catalog_lines
from inventory.model import Database, Environment, Scratch
from inventory.private_folder import private_folder

if TYPE_CHECKING:
    from archiver.runs.context import Archiver


def read_environment(environment: Environment) -> dict[str, LiveCatalogue]:
    """Read the live catalogues of master and the first shard, to draft a catalog from."""
    refuse_if_down(environment)
    databases = dict(zip((MASTER, SHARD), (environment.master, *environment.shards), strict=False))
    return {kind: read_database(database.connection) for kind, database in databases.items()}


def read_database(connection: Mapping[str, str]) -> LiveCatalogue:
    """Read the live catalogue of one database."""
    with closing(connect(connection, name=f"archive.catalog-draft by {operator()}@{host()}")) as session:
        return read_live(session)


def model_of(environment: Environment) -> Model:
    """Return the model of an environment's catalog; Problems with all its mistakes, each with its line."""
    try:
        return resolve(load_catalog(environment.catalog))
    except Problems as mistakes:
        lines = with_catalog_lines(environment.catalog, mistakes.problems)
        raise Problems("The catalog of tables has mistakes:", lines, hint=mistakes.hint) from mistakes


@contextmanager
def databases_of(environment: Environment, purpose: str) -> Iterator[Databases]:
    """Open an environment's databases; `purpose` is part of the sessions' name, such as `archive.school 13`.

    Opening a database raises RefusedError if a newer version of this tool made the archiver's tables in it, or no
    foreign key would be checked in the session, or no change of rows counted.
    """
    refuse_if_down(environment)
    name = f"{purpose} by {operator()}@{host()} pid {os.getpid()}"

    def open_database(database: str) -> Session:
        session = _connect(environment.databases[database], name)
        try:
            refuse_newer(session)
            refuse_replica(session)
            refuse_uncounted(session, "Opening")
        except BaseException:
            session.close()
            raise
        return session

    databases = Databases(
        open=open_database,
        model=model_of(environment),
        shards=tuple(database.name for database in environment.shards),
        migrations=load_migrations(environment.migrations),
        truncate_published=environment.truncate_published,
    )
    try:
        yield databases
    finally:
        databases.close()


@contextmanager
def archiver(environment: Environment, purpose: str, *, identity: str = "") -> Iterator[Archiver]:
    """Open everything that archiving and restoring need; create the archiver's own tables if they are missing.

    `identity` is a file that decrypts archives of earlier runs. Raises UsageError for invalid keys. At the end the
    store gets the head of the log.
    """
    from archiver.runs.context import Archiver  # not at the top: most tasks open databases only

    keys = encryption.keys(environment.store.recipients, identity)
    with databases_of(environment, purpose) as databases:
        # Open them all, which refuses newer ones, before the first is migrated.
        opened = [databases.session(database) for database in (MASTER, *databases.shards)]
        for session in opened:
            session.ownership.require("changing rows")
        for session in opened:
            prepare(session)
        with scratch(environment, purpose) as verifying:
            bucket = Bucket(environment.store)
            with head_stored(bucket, databases.master):
                yield Archiver(
                    databases=databases,
                    bucket=bucket,
                    schemas=StoredSchemas(bucket),
                    scratch=ScratchDatabase(verifying),
                    keys=keys,
                    work=spool_folder(),
                    fence=environment.fence,
                )


@contextmanager
def scratch(environment: Environment, purpose: str) -> Iterator[Session]:
    """Open a session on the scratch database, in which archives are loaded to verify or inspect them."""
    session = _connect(environment.scratch, purpose)
    try:
        session.ownership.require("verifying")
        yield session
    finally:
        session.close()


@contextmanager
def upkeep_sessions(environment: Environment, database: Database, purpose: str) -> Iterator[tuple[Session, Session]]:
    """Open two sessions on one database: a worker, and a watcher that can stop it."""
    name = f"{purpose} by {operator()}@{host()} pid {os.getpid()}"
    with (
        closing(_connect(database, name)) as worker,
        closing(_connect(database, f"watching {name}")) as watcher,
    ):
        worker.ownership.require("working")
        yield worker, watcher


def _connect(database: Database | Scratch, name: str) -> Session:
    return connect(database.connection, name=name, pooler=database.pooler)


def spool_folder() -> Path:
    """Return the folder for rows between COPY and tarball; only this user can read it, as they are personal data."""
    return private_folder(Path(tempfile.gettempdir()) / f"cutover-{os.getuid()}")
