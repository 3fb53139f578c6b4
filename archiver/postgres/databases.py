"""The open sessions of one run, and who may work on what at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from archiver.catalog.model import MASTER, SHARD, Model
from archiver.postgres.locks import EVERYTHING, AdvisoryLock, dismiss_workers, held_locks
from archiver.postgres.schema import Schema, read_schema
from archiver.postgres.session import Session
from errors import UsageError
from inventory.migrations import Migration

Open = Callable[[str], Session]  # a database's inventory name to a session


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The databases in which one tenant lives, each with its session and shape: master, and its shard if it has one."""

    sessions: dict[str, Session]  # by database of the model: master, then shard
    schemas: Mapping[str, Schema]
    shard: str  # the shard's inventory name; master where there are no shards
    other_shards: tuple[Session, ...]  # which may still name the tenant's rows
    migrations: tuple[Migration, ...] = ()  # what became of the tables since earlier archives

    @property
    def master(self) -> Session:
        """The session on master."""
        return self.sessions[MASTER]

    @property
    def shard_session(self) -> Session | None:
        """The session on the shard; None where all lies in master, and one transaction is enough."""
        return self.sessions.get(SHARD)


@dataclass(frozen=True)
class Databases:
    """Sessions by database name, opened when first needed and kept until `close`."""

    open: Open
    model: Model
    shards: tuple[str, ...]  # inventory names
    migrations: tuple[Migration, ...] = ()
    _sessions: dict[str, Session] = field(default_factory=dict)
    _schemas: dict[str, Schema] = field(default_factory=dict)

    def session(self, name: str) -> Session:
        """The session on a database."""
        if name not in self._sessions:
            self._sessions[name] = self.open(name)
        return self._sessions[name]

    @property
    def master(self) -> Session:
        """The session on master."""
        return self.session(MASTER)

    def schema(self, name: str) -> Schema:
        """The shape of the model's tables in a database, read once a run."""
        if name not in self._schemas:
            kind = MASTER if name == MASTER else SHARD
            self._schemas[name] = read_schema(self.session(name), (table.table for table in self.model.of(kind)))
        return self._schemas[name]

    def names_and_kinds(self) -> tuple[tuple[str, str], ...]:
        """Every database: its inventory name, and which of the model's it is."""
        return ((MASTER, MASTER), *((shard, SHARD) for shard in self.shards))

    def forget_schemas(self) -> None:
        """Reads the shapes anew when they are next asked for."""
        self._schemas.clear()

    def placement(self, shard: str) -> Placement:
        """Where the tenants of a shard live; UsageError for a shard that the inventory does not have."""
        names = self._names(shard)
        return Placement(
            sessions={database: self.session(name) for database, name in names.items()},
            schemas={database: self.schema(name) for database, name in names.items()},
            shard=shard,
            other_shards=tuple(self.session(name) for name in self.shards if name != shard),
            migrations=self.migrations,
        )

    def master_only(self) -> Placement:
        """Master, when the shards have been emptied of the tenants at hand."""
        return Placement(
            sessions={MASTER: self.master},
            schemas={MASTER: self.schema(MASTER)},
            shard=MASTER,
            other_shards=tuple(self.session(name) for name in self.shards),
            migrations=self.migrations,
        )

    def _names(self, shard: str) -> dict[str, str]:
        """The inventory names of a tenant's databases, by database of the model."""
        if self.model.tenant.shard is None:
            return {MASTER: MASTER}
        if shard not in self.shards:
            raise UsageError(f"Shard {shard!r} is not in the inventory (there: {', '.join(self.shards)}).")
        return {MASTER: MASTER, SHARD: shard}

    def close(self) -> None:
        """Ends every session; whatever was open there is rolled back."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Keeps everybody else off all databases while the block runs: for a run over many tenants."""
        with held_locks([AdvisoryLock(self.session(name), EVERYTHING) for name in (MASTER, *self.shards)]):
            dismiss_workers(self.master)
            yield

    @contextmanager
    def tenant_lock(self, noun: str, tenant_id: int, *shards: str) -> Iterator[None]:
        """Keeps everybody else off one tenant while the block runs, on the connections that delete."""
        names = dict.fromkeys(name for shard in shards for name in self._names(shard).values())
        sessions = [self.session(name) for name in names]
        shared = [AdvisoryLock(session, EVERYTHING, shared=True) for session in sessions]
        own = [AdvisoryLock(session, f"cutover {noun} {tenant_id}") for session in sessions]
        with held_locks([*shared, *own]):
            dismiss_workers(self.master)
            yield

    @contextmanager
    def monthly_lock(self, shard: str) -> Iterator[None]:
        """Keeps everybody else off a shard's activity of past months while the block runs, and runs over many off all
        of it; of single tenants nobody is kept off."""
        sessions = [self.session(name) for name in self._names(shard).values()]
        shared = [AdvisoryLock(session, EVERYTHING, shared=True) for session in sessions]
        with held_locks([*shared, AdvisoryLock(sessions[-1], "cutover activity")]):
            yield


@contextmanager
def exclusive_lock_in(session: Session) -> Iterator[None]:
    """Keeps everybody else off one database while the block runs: its tables are out of reach meanwhile."""
    with held_locks([AdvisoryLock(session, EVERYTHING)]):
        yield
