"""A test's own copy of Apangea: five databases, a scratch database and a prefix in the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any
from unittest.mock import patch

import psycopg2
import pytest

from archiver.catalog.model import Part
from archiver.completeness import completeness, recheck
from archiver.kinds import registry
from archiver.load import proof
from archiver.postgres.tenants import Include, OwnDepths, TenantFilter
from archiver.records import resolve
from archiver.records.archive_record import Record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.move_record import Route
from archiver.records.placement_history import shard_of
from archiver.reshard.merge_split import MoveOutcome as Carried
from archiver.reshard.merge_split import move_all
from archiver.reshard.preview import MovePreview, preview_all
from archiver.runs import restore_plan, setup
from archiver.runs.archive import archive, tenant_to_archive
from archiver.runs.archive_many import archive_many
from archiver.runs.context import ArchiveOutcome, Archiver
from archiver.runs.drop import Dropped
from archiver.runs.each import Outcome
from archiver.runs.engines import IN_TURN, Engine
from archiver.runs.one_by_one import deletes_in_bulk
from archiver.runs.reencrypt import Reencrypted, reencrypt
from archiver.runs.restore import Restored, record_to_restore, restore
from archiver.runs.restore_plan import RestorePlan
from inventory.catalog import DEFAULT_DEPTH
from inventory.keys import Key
from inventory.load import FOLDER, load_catalog, load_file
from inventory.migrations import Changes
from inventory.model import Environment, Scratch, Store
from tests import oracle

SHARDS = ("shard_1", "shard_2", "shard_3", "shard_4")
DATABASES = ("master", *SHARDS)
NIGHT = date(2014, 8, 15)
DEPTHS = tuple(load_catalog("catalog.yaml").depths)  # of the product of the rehearsal
YEAR = 2013


@dataclass(frozen=True)
class World:
    """The databases and the store that a test archives from and into."""

    environment: Environment
    dsns: Mapping[str, str]  # by database; for psql and the oracle
    identity: str = ""  # the operator's file, where archives are encrypted
    worker: Archiver | None = None  # who does all the work; none: a new one each time
    tried: str | None = None  # the endpoint of the store that the tests' own trial has passed

    @contextmanager
    def archiver(self, purpose: str = "test") -> Iterator[Archiver]:
        """Sessions of its own, as one more worker would have, unless one does all the work."""
        if self.worker:
            yield self.worker
            return
        with setup.archiver(self.environment, purpose, identity=self.identity) as archiver:
            if self.tried and self.environment.store.endpoint == self.tried:
                archiver.bucket._conditional = True  # a trial is a fifth of the time that a small school takes
            yield archiver

    @contextmanager
    def by_one_worker(self) -> Iterator[World]:
        """Yield the same world for many acts in a row: a start takes longer than a small school."""
        with self.archiver() as archiver:
            yield replace(self, worker=archiver)

    def archive(
        self,
        *tenant_ids: Key,
        depth: str = DEFAULT_DEPTH,
        pretend: bool = False,
        year: int = YEAR,
        night: date | None = NIGHT,
        only: Include | None = None,
    ) -> list[ArchiveOutcome]:
        """Archive these schools, one after the other, as `inv archive.school` does; raise what failed."""
        request = ArchiveRequest(year=year, depth=depth, night=night, pretend=pretend, only=only)
        outcomes = []
        with self.archiver() as archiver:
            for tenant_id in tenant_ids:
                tenant = tenant_to_archive(archiver, tenant_id, year)
                with archiver.databases.tenant_lock(tenant.id, tenant.shard):
                    outcomes += archive(archiver, [tenant], request, raise_failure)
        return outcomes

    def goes_in_sets(self, depth: str) -> bool:
        """True if the catalog lets tenants be deleted in sets."""
        with self.archiver() as archiver:
            return deletes_in_bulk(archiver.databases, depth)

    def archive_together(
        self,
        *tenant_ids: Key,
        depth: str = DEFAULT_DEPTH,
        pretend: bool = False,
        on_strategy: Callable[[str], None] = lambda strategy: None,
        on_result: Callable[[ArchiveOutcome], None] | None = None,
        engine: Engine = IN_TURN,
        until: datetime | None = None,
        only: Include | None = None,
        own_depths: OwnDepths | None = None,
    ) -> list[ArchiveOutcome]:
        """Archive these schools in sets, as `inv archive.all` does; raise what failed, unless `on_result` is given."""
        request = ArchiveRequest(
            year=YEAR,
            depth=depth,
            night=NIGHT,
            pretend=pretend,
            until=until,
            only=only,
            own_depths=own_depths or OwnDepths(),
        )
        with self.archiver() as archiver, archiver.databases.exclusive_lock():
            live_tenants = resolve.all_to_archive(archiver.databases, YEAR, TenantFilter())
            wanted = [tenant for tenant in live_tenants if tenant.id in tenant_ids]
            return archive_many(archiver, wanted, request, on_result or raise_failure, on_strategy, engine)

    def restore(
        self,
        *tenant_ids: Key,
        pretend: bool = False,
        year: int | None = None,
        mapping: Changes | None = None,
        only: Part | None = None,
        without: Collection[str] = (),
    ) -> list[Restored]:
        """Restore these schools, as `inv restore.school` does; raise what failed."""
        outcomes = []
        with self.archiver() as archiver:
            for tenant_id in tenant_ids:
                record = record_to_restore(archiver, tenant_id, year)
                with archiver.databases.tenant_lock(tenant_id, shard_of(archiver.databases, record)):
                    outcomes += restore(
                        archiver,
                        [record],
                        pretend=pretend,
                        on_result=raise_failure,
                        mapping=mapping,
                        only=only,
                        without=without,
                    )
        return outcomes

    def reencrypt(self, *tenant_ids: Key) -> list[Reencrypted]:
        """Encrypt these schools' archives to the environment's recipients, as `inv archive.reencrypt` does."""
        outcomes = []
        with self.archiver() as archiver:
            for tenant_id in tenant_ids:
                record = resolve.one_to_restore(archiver.databases, tenant_id, None)
                with archiver.databases.tenant_lock(tenant_id, shard_of(archiver.databases, record)):
                    outcomes += reencrypt(
                        archiver, [registry.archive_of(archiver.databases.master, record.id)], raise_failure
                    )
        return outcomes

    def drop(self, tenant_id: Key, year: int = YEAR, without: Collection[str] = ()) -> Dropped:
        """Drop a school's archive, as `inv archive.drop-archive` does."""
        with self.archiver() as archiver, archiver.databases.exclusive_lock():
            record = resolve.one_to_drop(archiver.databases, tenant_id, year)
            return drop(archiver, record, without)

    def move_all(self, verb: str, source: str, target: str, *, only: Collection[Key] = ()) -> list[Carried]:
        """Merge a shard into another one, or split it off again, as `inv shards.…` does; raise what failed."""
        route = Route(verb=verb, source=source, target=target)
        with self.archiver() as archiver:
            return move_all(archiver, route, YEAR, raise_failure, only=only)

    def preview_all(self, verb: str, source: str, target: str, *, only: Collection[Key] = ()) -> list[MovePreview]:
        """Return what `inv shards.… --dry-run` shows."""
        route = Route(verb=verb, source=source, target=target)
        with self.archiver() as archiver:
            outcomes = preview_all(archiver, route, YEAR, lambda outcome: None, only)
        return [outcome.detail or MovePreview(rows={}, in_the_way=(str(outcome.error),)) for outcome in outcomes]

    def plan(self, tenant_id: Key, mapping: Changes | None = None) -> RestorePlan:
        """Return the output of `inv restore.plan`."""
        with self.archiver() as archiver:
            return restore_plan.plan(archiver, resolve.one_to_restore(archiver.databases, tenant_id, None), mapping)


NewWorld = Callable[..., AbstractContextManager[World]]  # of some databases: tests/conftest.py


@contextmanager
def sql(world: World, database: str) -> Iterator[psycopg2.extensions.cursor]:
    """A colleague at psql."""
    with psycopg2.connect(world.dsns[database]) as link, link.cursor() as cursor:
        yield cursor
    link.close()


def school_ids(world: World) -> list[int]:
    """The live schools."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM schools ORDER BY id")
        return [row[0] for row in cursor.fetchall()]


def same(expected: oracle.Snapshot, found: oracle.Snapshot) -> None:
    """Fail with the first differences."""
    assert found == expected, oracle.difference(expected, found)


def overlook_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let completeness, first and in transactions that delete or load, report nothing: other guards must hold."""
    monkeypatch.setattr(completeness, "prove_complete", lambda databases: None)
    monkeypatch.setattr(recheck, "problems_of", lambda *judged: ())
    monkeypatch.setattr(proof, "unknown", lambda *judged: [])


def drop(archiver: Archiver, record: Record, without: Collection[str] = ()) -> Dropped:
    """Drop a school's archive."""
    archive = registry.archive_of(archiver.databases.master, record.id)
    return archive.kind.drop(archiver, archive.record, without)


def raise_failure(outcome: Outcome[Any, Any]) -> None:
    """Raise the failure of an outcome: a callback that lets none pass."""
    if outcome.error:
        raise outcome.error


@cache
def inventory() -> Environment:
    """The rehearsal's inventory, whether one is up or not."""
    with patch.dict(os.environ, REHEARSAL_HOME="/nonexistent"):
        return load_file(FOLDER / "rehearsal.yaml")


def environment(connections: Mapping[str, Mapping[str, str]], scratch: Mapping[str, str], store: Store) -> Environment:
    """The rehearsal's inventory with these databases in place of its own."""
    written = inventory()
    databases = {name: replace(written.databases[name], connection=connections[name]) for name in connections}
    return replace(written, databases=databases, scratch=Scratch(connection=scratch), store=store, overlay=None)
