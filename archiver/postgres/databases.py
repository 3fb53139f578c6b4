"""The open sessions of one run, and the locks that keep runs on the same tenants apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from archiver.catalog.model import MASTER, SHARD, Model
from archiver.postgres.locks import EVERYTHING, AdvisoryLock, dismiss_workers, held_locks
from archiver.postgres.schema import Schema, read_schema
from archiver.postgres.session import Session
from archiver.postgres.typed_keys import key_typed
from errors import UsageError
from formatting import plural, with_article
from inventory.keys import Key
from inventory.migrations import Migration

Open = Callable[[str], Session]  # opens a session on a database, by its inventory name


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The databases that hold one tenant's rows, with sessions and schemas: master, and its shard if there is one."""

    sessions: dict[str, Session]  # by database name in the model: master, then shard
    schemas: Mapping[str, Schema]
    shard: str  # the shard's inventory name; master if there are no shards
    other_shards: tuple[Session, ...]  # their rows may still reference the tenant's
    migrations: tuple[Migration, ...] = ()  # changes of the tables since earlier archives
    judged: dict[str, str] = field(default_factory=dict)  # of Databases

    @property
    def master(self) -> Session:
        """The session on master."""
        return self.sessions[MASTER]

    def name_of(self, database: str) -> str:
        """Return a database's inventory name."""
        return self.shard if database == SHARD else MASTER

    @property
    def shard_session(self) -> Session | None:
        """The session on the shard; None if master holds all rows, so that one transaction is enough."""
        return self.sessions.get(SHARD)


@dataclass(frozen=True)
class Databases:
    """Sessions by database name, opened when first needed and kept open until `close`."""

    open: Open
    model: Model
    shards: tuple[str, ...]  # inventory names
    migrations: tuple[Migration, ...] = ()
    truncate_published: bool = False  # tables may be truncated although subscribers truncate theirs too
    judged: dict[str, str] = field(default_factory=dict)  # by inventory name: the digest of the catalogue last judged
    _sessions: dict[str, Session] = field(default_factory=dict)
    _schemas: dict[str, Schema] = field(default_factory=dict)

    def session(self, name: str) -> Session:
        """Return the session on a database; open it if needed."""
        if name not in self._sessions:
            self._sessions[name] = self.open(name)
        return self._sessions[name]

    @property
    def master(self) -> Session:
        """The session on master."""
        return self.session(MASTER)

    def schema(self, name: str) -> Schema:
        """Return the schema of the model's tables in a database; it is read once a run."""
        if name not in self._schemas:
            kind = MASTER if name == MASTER else SHARD
            self._schemas[name] = read_schema(self.session(name), (table.table for table in self.model.of(kind)))
        return self._schemas[name]

    def names_and_kinds(self) -> tuple[tuple[str, str], ...]:
        """Return every database as its inventory name and its name in the model."""
        return ((MASTER, MASTER), *((shard, SHARD) for shard in self.shards))

    def forget_schemas(self) -> None:
        """Read each schema again when it is next needed."""
        self._schemas.clear()

    def placement(self, shard: str) -> Placement:
        """Return the placement of the tenants of a shard; raise UsageError if the inventory has no such shard."""
        names = self._names(shard)
        return Placement(
            sessions={database: self.session(name) for database, name in names.items()},
            schemas={database: self.schema(name) for database, name in names.items()},
            shard=shard,
            other_shards=tuple(self.session(name) for name in self.shards if name != shard),
            migrations=self.migrations,
            judged=self.judged,
        )

    def master_only(self) -> Placement:
        """Return master alone: the placement of tenants whose rows have been deleted from their shards."""
        return Placement(
            sessions={MASTER: self.master},
            schemas={MASTER: self.schema(MASTER)},
            shard=MASTER,
            other_shards=tuple(self.session(name) for name in self.shards),
            migrations=self.migrations,
            judged=self.judged,
        )

    def _names(self, shard: str) -> dict[str, str]:
        """Return the inventory names of a tenant's databases, by database name in the model."""
        if self.model.tenant.shard is None:
            return {MASTER: MASTER}
        if shard not in self.shards:
            named = f"Shard {shard!r}" if shard else f"The empty name of {with_article(self.model.tenant.noun)}'s shard"
            raise UsageError(
                f"{named} is not in the inventory (there: {', '.join(self.shards)}).",
                hint=f"inv check.integrity shows every {self.model.tenant.noun} on such a shard.",
            )
        return {MASTER: MASTER, SHARD: shard}

    def key_typed(self, word: str) -> Key:
        """Return the key of a tenant that a typed word means; raise UsageError with an example if it is none."""
        tenant = self.model.tenant
        return key_typed(self.master, tenant.noun, tenant.table, tenant.key_columns, word)

    def row_typed(self, noun: str, table: str, word: str) -> Key:
        """Return the primary key of a row of master that a typed word means; raise UsageError as `key_typed` does."""
        return key_typed(self.master, noun, table, self.schema(MASTER).tables[table].primary_key, word)

    def customer_typed(self, word: str) -> Key:
        """Return the key of a customer that a typed word means; raise UsageError if the catalog knows none."""
        customer = self.model.tenant.customer
        if customer is None:
            raise UsageError(f"The catalog of tables knows no customers of {plural(self.model.tenant.noun)}.")
        return key_typed(self.master, "customer", customer.table, (customer.key,), word)

    def close(self) -> None:
        """End every session; open transactions are rolled back."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Lock all databases against other runs while the block runs: for a run over many tenants."""
        with held_locks([AdvisoryLock(self.session(name), EVERYTHING) for name in (MASTER, *self.shards)]):
            dismiss_workers(self.master)
            yield

    @contextmanager
    def tenant_lock(self, tenant_id: Key, *shards: str) -> Iterator[None]:
        """Lock one tenant against other runs while the block runs, on the connections that delete."""
        names = dict.fromkeys(name for shard in shards for name in self._names(shard).values())
        sessions = [self.session(name) for name in names]
        shared = [AdvisoryLock(session, EVERYTHING, shared=True) for session in sessions]
        own = [AdvisoryLock(session, f"cutover {self.model.tenant.noun} {tenant_id}") for session in sessions]
        with held_locks([*shared, *own]):
            dismiss_workers(self.master)
            yield

    @contextmanager
    def monthly_lock(self, shard: str) -> Iterator[None]:
        """Lock a shard's past months against other monthly runs, and its databases against runs over many tenants.

        Runs on single tenants go on.
        """
        sessions = [self.session(name) for name in self._names(shard).values()]
        shared = [AdvisoryLock(session, EVERYTHING, shared=True) for session in sessions]
        with held_locks([*shared, AdvisoryLock(sessions[-1], "cutover activity")]):
            yield


@contextmanager
def exclusive_lock_in(session: Session) -> Iterator[None]:
    """Lock one database against all other runs while the block runs, because its tables are not accessible."""
    with held_locks([AdvisoryLock(session, EVERYTHING)]):
        yield
