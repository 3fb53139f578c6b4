"""Purge legacy users from master: extract, pack, store, verify, delete. Restore a purge: fetch and load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from archiver.catalog.model import MASTER, Model, TableName
from archiver.checks.purge_references import Watch, watch_of
from archiver.checks.purge_tables import legacy_placement, model_of
from archiver.completeness.recheck import recheck_acts
from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.delete.delete import delete
from archiver.delete.return_trial import tried_back
from archiver.delete.unchanged import prove_shape
from archiver.extract.one import Extract, highest, manifest_of
from archiver.format import layout
from archiver.format.bundle import opened
from archiver.format.manifest import Member
from archiver.format.rows import RowFile, Spool
from archiver.format.spool_folder import work_folder
from archiver.load.fit import fitting
from archiver.load.load import IncomingArchive, LiveNeighbors, Loaded, load_database
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import proven
from archiver.postgres.account import accounted
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import column_list, identifier
from archiver.postgres.selection import SelectedRows, among, identity_of, row_order
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.postgres.tenants import Tenant
from archiver.records import purge_record, shard_keys
from archiver.records.purge_record import Purge
from archiver.records.state import State
from archiver.runs.context import Archiver, fetch, new_extraction, pack
from archiver.runs.settle import settle
from archiver.verify.verify import belongs_to, verify
from errors import RefusedError, UsageError

AGAIN = "Nothing was deleted. Run the same command again."


@dataclass(frozen=True, kw_only=True)
class LegacyGroup:
    """The legacy users of one purge, with the model and placement by which their rows are found."""

    placement: Placement
    model: Model
    ids: Sequence[int]

    def where(self, table: TableName) -> Composable:
        """SQL: a row of the table belongs to these users."""
        links, shape = self.model.found_by(table), self.placement.schemas[MASTER].tables[table.table]
        columns = links[0].columns if links else self.model.tenant.key_columns
        return among(shape, columns, self.ids)


@dataclass(frozen=True, kw_only=True)
class Purged:
    """A completed purge."""

    purge: Purge
    late: Mapping[int, list[str]]  # deleted users referenced by rows added after the last check, with those references


def group_of(databases: Databases, ids: Sequence[int]) -> LegacyGroup:
    """Return the group of these users."""
    model = model_of(databases.model)
    return LegacyGroup(placement=legacy_placement(databases, model), model=model, ids=ids)


def sizes(group: LegacyGroup) -> dict[str, tuple[int, int]]:
    """Return the rows and bytes to delete, by table."""
    query = SQL("SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0)::bigint FROM {} t WHERE {}")
    return {
        table.table: group.placement.master.row(query.format(identifier(table.table), group.where(table)))
        for table in group.model.tables
    }


def purge(archiver: Archiver, group: LegacyGroup, before: datetime, year: int) -> Purged:
    """Archive these users together, verify what the store returns, and delete them from master: all or none.

    The caller holds the locks, and has excluded users referenced by live rows. Raises RefusedError if a user has been
    referenced since, or a row changed since it was archived.
    """
    master = group.placement.master
    settle(archiver, archiver.databases.shards)
    with work_folder(archiver.work) as work:
        begun = purge_record.start(master, year, before, group.ids, archiver.keys.recipients)
        packed = pack(archiver, _extract(group, begun, work), work)
        location = new_location(archiver, year, begun.id)
        digests = archiver.bucket.put(archiver.bucket.key(location), packed.path, packed.digests)
        archiver.schemas.put(packed.extract.manifest.schemas.values(), work)
        stored = purge_record.stored(master, begun, location, packed.extract.manifest, digests)
        with opened(fetch(archiver.bucket, stored, work / "fetched"), archiver.keys) as archive:
            verify(archive, stored.id, stored.year, archiver.scratch, group.model)
        done, watch = _delete(archiver, group, purge_record.verified(master, stored), work)
    return Purged(purge=done, late=watch.references())


def new_location(archiver: Archiver, year: int, number: int) -> str:
    """Return an unused location in the store for a purge."""
    encrypted = bool(archiver.keys.recipients)
    return archiver.bucket.location(layout.purge_key(year, number, new_extraction(), encrypted=encrypted))


def restore(archiver: Archiver, number: int) -> dict[str, Loaded]:
    """Restore the users of a purge in one transaction; a user who is live already stays unchanged.

    Raises UsageError if there is no such purge or it was restored, DamagedError if the archive is not what was stored.
    """
    settle(archiver, archiver.databases.shards)
    record = _purged(archiver, number)
    group, master = group_of(archiver.databases, record.ids), archiver.databases.master
    with work_folder(archiver.work) as work, opened(fetch(archiver.bucket, record, work), archiver.keys) as archive:
        belongs_to(archive, record.id, record.year)
        incoming = IncomingArchive(
            placement=group.placement, model=group.model, archive=archive, mappings=fitting(group.placement, archive)
        )
        hint, written = "Change or remove what is in the way.", group.model.written_besides(MASTER)
        with refused_by_rows(f"Restoring purge {number}", hint, [incoming]), master.rolled_back():
            with (
                accounted(master, "Restoring", written) as account,
                proven(account, group.model, MASTER) as proof,
            ):
                loaded = load_database(incoming, MASTER, LiveNeighbors(retained=(), everywhere=True), proof)
            purge_record.restored(master, record)
            shard_keys.forget(master, record)
            master.commit(doing=f"restoring purge {number}")
    return loaded


def _purged(archiver: Archiver, number: int) -> Purge:
    for record in purge_record.every(archiver.databases.master):
        if record.id == number and record.state is State.ARCHIVED:
            return record
        if record.id == number:
            raise UsageError(f"Purge {number} is {record.state.value}: there are no users to restore.")
    raise UsageError(f"There is no purge {number}.", hint="inv users.purges lists them.")


def _extract(group: LegacyGroup, begun: Purge, work: Path) -> Extract:
    files = {table: work / f"{number}.copy" for number, table in enumerate(group.model.tables)}
    tenant = Tenant(
        id=begun.id,
        name=f"{len(begun.ids)} legacy users not seen since {begun.before:%Y-%m-%d}",
        shard=MASTER,
        customer_id=None,
        customer_name=None,
    )
    with group.placement.master.rolled_back("REPEATABLE READ READ ONLY"):
        members = {layout.member(table): _copied(group, table, path) for table, path in files.items()}
    manifest = manifest_of(group.placement, group.model, tenant, begun.year, members, highest(group.placement, files))
    return Extract(
        tenant=tenant,
        year=begun.year,
        manifest=replace(manifest, before=begun.before.isoformat()),
        rows={layout.member(table): RowFile(path) for table, path in files.items()},
        snapshots={},
        seconds=0.0,
    )


def _copied(group: LegacyGroup, table: TableName, path: Path) -> Member:
    shape, spool = group.placement.schemas[MASTER].tables[table.table], Spool(path)
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        column_list(shape), identifier(table.table), group.where(table), row_order(shape)
    )
    return spool.finish(group.placement.master.copy_out(query, spool, doing=f"copying {table} out"))


def _delete(archiver: Archiver, group: LegacyGroup, verified: Purge, work: Path) -> tuple[Purge, Watch]:
    """Lock every row, check references and content again, delete, and record it: all in one transaction.

    Return the watch by which the references are found that came since.
    """
    master = group.placement.master

    def record(users: _LockedUsers) -> Recorded[tuple[Purge, Watch]]:
        shard_keys.remember_rows(master, group.placement.schemas[MASTER], verified, users.rows)
        done = purge_record.purged(master, verified)
        return Recorded(result=(done, users.watch), bucket=archiver.bucket, archives=[verified])

    transaction = Transaction(
        session=master,
        doing=f"deleting the users of purge {verified.id}",
        written_besides=group.model.written_besides(MASTER),
    )
    locks = _UserLocks(databases=archiver.databases, group=group, verified=verified, work=work)
    return delete_and_commit("Purging", locks, [transaction], record)


@dataclass(frozen=True, kw_only=True)
class _LockedUsers:
    """The rows of the users to delete, and the watch on references to them."""

    rows: Mapping[TableName, SelectedRows]
    watch: Watch


@dataclass(frozen=True, kw_only=True)
class _UserLocks:
    """The locks of legacy users' rows in master, in key order."""

    databases: Databases
    group: LegacyGroup
    verified: Purge
    work: Path

    def lock(self) -> _LockedUsers:
        group = self.group
        recheck_acts(group.placement.master, group.model, MASTER)
        rows = {table: _locked(group, table) for table in group.model.tables}
        return _LockedUsers(rows=rows, watch=watch_of(self.databases, group.ids))

    def unchanged(self, users: _LockedUsers) -> _LockedUsers:
        if references := users.watch.references():
            names = "; ".join(f"{number} by {', '.join(by)}" for number, by in references.items())
            raise RefusedError(f"Purging refused: users are referenced by now: {names}.", hint=AGAIN)
        for table in self.group.model.tables:
            archived = self.verified.members[layout.member(table)]
            if _copied(self.group, table, self.work / "now.copy") != archived:
                raise RefusedError(f"Purging refused: rows of {table} changed since they were archived.", hint=AGAIN)
        prove_shape(self.group.placement)
        return users

    def delete(self, users: _LockedUsers, accounts: Accounts) -> None:
        placement, model = self.group.placement, self.group.model
        account = accounts[placement.master]
        with tried_back(placement, model, MASTER, users.rows, account):
            delete(placement, model, MASTER, users.rows, account)


def _locked(group: LegacyGroup, table: TableName) -> SelectedRows:
    identity = identity_of(group.placement.schemas[MASTER].tables[table.table])
    columns = SQL(", ").join(map(Identifier, identity))
    query = SQL("SELECT {0} FROM {1} WHERE {2} ORDER BY {0} FOR UPDATE").format(
        columns, identifier(table.table), group.where(table)
    )
    return SelectedRows(
        identity=identity, columns=identity, rows=group.placement.master.keys(query, doing=f"locking {table}")
    )
