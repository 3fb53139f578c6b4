"""The life of an archive: packed, stored, verified, its rows deleted, and loaded again.

`stored_and_verified` is the way into the store of each kind with one tarball. `take_out` and `bring_back` are the whole
way of a kind whose rows lie in master alone: one transaction deletes them with the record, or loads them; no marker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from archiver.catalog.model import MASTER, Model, TableName
from archiver.completeness.recheck import recheck_acts
from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.delete.delete import delete
from archiver.delete.return_trial import tried_back
from archiver.delete.unchanged import prove_shape
from archiver.extract.one import Extract, highest, manifest_of
from archiver.extract.packed import Packed
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.format.rows import RowFile, Spool
from archiver.format.spool_folder import work_folder
from archiver.load.fit import fitting
from archiver.load.load import IncomingArchive, LiveNeighbors, Loaded, load_database
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import proven
from archiver.postgres.account import accounted
from archiver.postgres.databases import Placement
from archiver.postgres.schema import column_list, identifier
from archiver.postgres.selection import SelectedRows, identity_of, row_order
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.postgres.tenants import Tenant
from archiver.runs.context import Archiver, opened, pack
from archiver.store.bucket import StoredDigests
from archiver.store.standing import StoredArchive
from archiver.verify.verify import Verified, belongs_to, verify
from errors import RefusedError

AGAIN = "Nothing was deleted. Run the same command again."


class Tarball(StoredArchive, Protocol):
    """The record of an archive that is one tarball."""

    @property
    def id(self) -> int:
        """Its number, of which the manifest calls the archive."""

    @property
    def year(self) -> int:
        """The school year of the archive."""

    @property
    def members(self) -> Mapping[str, Member]:
        """Its rows, by member."""


class RowsOfMaster(Protocol):
    """Rows of master that leave together."""

    @property
    def placement(self) -> Placement:
        """Master alone."""

    @property
    def model(self) -> Model:
        """Their tables."""

    def where(self, table: TableName) -> Composable:
        """SQL: a row of the table is one of them."""


AnyRecord = TypeVar("AnyRecord", bound=Tarball)
AnyWatch = TypeVar("AnyWatch")  # finds what must not come to refer to the rows


class Books(Protocol[AnyRecord, AnyWatch]):
    """The words and the record of such a kind: each state is written before its act, or with it."""

    @property
    def operation(self) -> str:
        """The act in a refusal: `Purging`."""

    def begin(self, archiver: Archiver) -> AnyRecord:
        """Write the record of a new archive."""

    def describe(self, record: AnyRecord) -> str:
        """Return the archive's rows, in words, for its manifest."""

    def completed(self, record: AnyRecord, manifest: Manifest) -> Manifest:
        """Return the manifest with what only this kind says in it."""

    def doing(self, record: AnyRecord) -> str:
        """Return the act of the deletion, for an error."""

    def new_location(self, archiver: Archiver, record: AnyRecord) -> str:
        """Return an unused location in the store."""

    def stored(self, record: AnyRecord, location: str, manifest: Manifest, digests: StoredDigests) -> AnyRecord:
        """Write that the tarball is in the store."""

    def verified(self, record: AnyRecord) -> AnyRecord:
        """Write that it was restored and compared."""

    def watch(self) -> AnyWatch:
        """Return what finds new references to the rows; they are locked by now."""

    def refuse(self, watch: AnyWatch) -> None:
        """Raise RefusedError if the rows must stay."""

    def deleted(self, record: AnyRecord, rows: Mapping[TableName, SelectedRows]) -> AnyRecord:
        """Write that the rows are deleted, in the transaction that deletes them."""


def stored_and_verified(
    archiver: Archiver,
    packed: Packed,
    location: str,
    model: Model,
    stored: Callable[[StoredDigests], AnyRecord],
    work: Path,
) -> tuple[AnyRecord, Verified]:
    """Store a tarball, record it by `stored`, fetch it back, restore it into scratch and compare. Return both."""
    extract = packed.extract
    digests = archiver.bucket.put(archiver.bucket.key(location), packed.path, packed.digests)
    archiver.schemas.put(extract.manifest.schemas.values(), work)
    record = stored(digests)
    with opened(archiver, work, record) as archive:  # what the store returns, not what was sent
        return record, verify(archive, extract.tenant.id, extract.year, archiver.scratch, model)


def take_out(archiver: Archiver, rows: RowsOfMaster, books: Books[AnyRecord, AnyWatch]) -> tuple[AnyRecord, AnyWatch]:
    """Archive rows of master, verify what the store returns, and delete them: all or none. Return record and watch.

    The caller holds the locks. Raises RefusedError if the books refuse it, or a row changed since it was archived.
    """
    with work_folder(archiver.work) as work:
        begun = books.begin(archiver)
        extract = _extract(rows, begun, books.describe(begun), work)
        extract = replace(extract, manifest=books.completed(begun, extract.manifest))
        packed = pack(archiver, extract, work)
        location, manifest = books.new_location(archiver, begun), packed.extract.manifest
        stored, _ = stored_and_verified(
            archiver,
            packed,
            location,
            rows.model,
            lambda digests: books.stored(begun, location, manifest, digests),
            work,
        )
        return _delete(archiver, rows, books, books.verified(stored), work)


def bring_back(
    archiver: Archiver, rows: RowsOfMaster, record: Tarball, doing: str, ended: Callable[[], None]
) -> dict[str, Loaded]:
    """Load the rows of an archive in one transaction, in which `ended` writes the record; live rows stay unchanged.

    Raises DamagedError if the archive is not what was stored.
    """
    placement, model, master = rows.placement, rows.model, rows.placement.master
    with work_folder(archiver.work) as work, opened(archiver, work, record) as archive:
        belongs_to(archive, record.id, record.year)
        mappings = fitting(placement, archive)
        incoming = IncomingArchive(placement=placement, model=model, archive=archive, mappings=mappings)
        hint, written = "Change or remove what is in the way.", model.written_besides(MASTER)
        with refused_by_rows(f"{doing[:1].upper()}{doing[1:]}", hint, [incoming]), master.rolled_back():
            with accounted(master, "Restoring", written) as account, proven(account, model, MASTER) as proof:
                loaded = load_database(incoming, MASTER, LiveNeighbors(retained=(), everywhere=True), proof)
            ended()
            master.commit(doing=doing)
    return loaded


def _extract(rows: RowsOfMaster, begun: Tarball, name: str, work: Path) -> Extract:
    placement, model = rows.placement, rows.model
    files = {table: work / f"{number}.copy" for number, table in enumerate(model.tables)}
    tenant = Tenant(id=begun.id, name=name, shard=MASTER, customer_id=None, customer_name=None)
    with placement.master.rolled_back("REPEATABLE READ READ ONLY"):
        members = {layout.member(table): _copied(rows, table, path) for table, path in files.items()}
    return Extract(
        tenant=tenant,
        year=begun.year,
        manifest=manifest_of(placement, model, tenant, begun.year, members, highest(placement, files)),
        rows={layout.member(table): RowFile(path) for table, path in files.items()},
        snapshots={},
        seconds=0.0,
    )


def _copied(rows: RowsOfMaster, table: TableName, path: Path) -> Member:
    shape, spool = rows.placement.schemas[MASTER].tables[table.table], Spool(path)
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        column_list(shape), identifier(table.table), rows.where(table), row_order(shape)
    )
    return spool.finish(rows.placement.master.copy_out(query, spool, doing=f"copying {table} out"))


def _delete(
    archiver: Archiver, rows: RowsOfMaster, books: Books[AnyRecord, AnyWatch], verified: AnyRecord, work: Path
) -> tuple[AnyRecord, AnyWatch]:
    """Lock every row, check references and content again, delete, and record it: all in one transaction."""

    def record(locked: _Locked[AnyWatch]) -> Recorded[tuple[AnyRecord, AnyWatch]]:
        done = books.deleted(verified, locked.rows)
        return Recorded(result=(done, locked.watch), bucket=archiver.bucket, archives=[verified])

    transaction = Transaction(
        session=rows.placement.master,
        doing=books.doing(verified),
        written_besides=rows.model.written_besides(MASTER),
    )
    locks = _MasterLocks(rows=rows, books=books, verified=verified, work=work)
    return delete_and_commit(books.operation, locks, [transaction], record)


@dataclass(frozen=True, kw_only=True)
class _Locked(Generic[AnyWatch]):
    """The rows to delete, and the watch on references to them."""

    rows: Mapping[TableName, SelectedRows]
    watch: AnyWatch


@dataclass(frozen=True, kw_only=True)
class _MasterLocks(Generic[AnyWatch]):
    """The locks of rows of master, in key order."""

    rows: RowsOfMaster
    books: Books[Any, AnyWatch]
    verified: Tarball
    work: Path

    def lock(self) -> _Locked[AnyWatch]:
        recheck_acts(self.rows.placement.master, self.rows.model, MASTER)
        rows = {table: _locked(self.rows, table) for table in self.rows.model.tables}
        return _Locked(rows=rows, watch=self.books.watch())

    def unchanged(self, locked: _Locked[AnyWatch]) -> _Locked[AnyWatch]:
        self.books.refuse(locked.watch)
        for table in self.rows.model.tables:
            if _copied(self.rows, table, self.work / "now.copy") != self.verified.members[layout.member(table)]:
                changed = f"rows of {table} changed since they were archived."
                raise RefusedError(f"{self.books.operation} refused: {changed}", hint=AGAIN)
        prove_shape(self.rows.placement)
        return locked

    def delete(self, locked: _Locked[AnyWatch], accounts: Accounts) -> None:
        placement, model = self.rows.placement, self.rows.model
        account = accounts[placement.master]
        with tried_back(placement, model, MASTER, locked.rows, account):
            delete(placement, model, MASTER, locked.rows, account)


def _locked(rows: RowsOfMaster, table: TableName) -> SelectedRows:
    placement = rows.placement
    identity = identity_of(placement.schemas[MASTER].tables[table.table])
    columns = SQL(", ").join(map(Identifier, identity))
    query = SQL("SELECT {0} FROM {1} WHERE {2} ORDER BY {0} FOR UPDATE").format(
        columns, identifier(table.table), rows.where(table)
    )
    keys = placement.master.keys(query, doing=f"locking {table}")
    return SelectedRows(identity=identity, columns=identity, rows=keys)
