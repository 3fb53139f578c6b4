"""People of old out of master and back: extract, pack, store, verify, delete; fetch and load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from archiver.catalog.model import MASTER, Model, TableName
from archiver.delete.delete import delete
from archiver.delete.unchanged import prove_shape
from archiver.extract.one import Extract, highest, manifest_of
from archiver.format import layout
from archiver.format.bundle import opened
from archiver.format.manifest import Member
from archiver.format.rows import RowFile, Spool
from archiver.format.spool_folder import work_folder
from archiver.load.fit import fitting
from archiver.load.load import Incoming, Loaded, Neighbours, load_database
from archiver.postgres.databases import Site, Workplace
from archiver.postgres.schema import column_list, identifier
from archiver.postgres.selection import Rows, among, identity_of, row_order
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.postgres.tenants import Tenant
from archiver.postgres.triggers import quiet
from archiver.records import purge_record
from archiver.records.purge_record import Purge, State
from archiver.runs.context import Archiver, fetch, new_extraction, pack
from archiver.runs.purge_references import needed_by
from archiver.runs.purge_tables import model_of, site_of
from archiver.verify.verify import belongs_to, verify
from errors import RefusedError, UsageError

AGAIN = "All are live as before. Run the same command again."


@dataclass(frozen=True, kw_only=True)
class Group:
    """The people of one purge, and where and how their rows are found."""

    site: Site
    model: Model
    ids: Sequence[int]

    def where(self, table: TableName) -> Composable:
        """The condition that finds their rows of a table."""
        links, shape = self.model.found_by(table), self.site.schemas[MASTER].tables[table.table]
        columns = links[0].columns if links else (self.model.tenant.key,)
        return among(shape, columns, self.ids)


@dataclass(frozen=True, kw_only=True)
class Purged:
    """A purge that is done."""

    purge: Purge
    late: Mapping[int, list[str]]  # people who went, and what names them by now: it came after the last look


def group_of(place: Workplace, ids: Sequence[int]) -> Group:
    """The people of these ids."""
    model = model_of(place.model)
    return Group(site=site_of(place, model), model=model, ids=ids)


def sizes(group: Group) -> dict[str, tuple[int, int]]:
    """Rows and bytes that would go, by table."""
    query = SQL("SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0)::bigint FROM {} t WHERE {}")
    return {
        table.table: group.site.master.row(query.format(identifier(table.table), group.where(table)))
        for table in group.model.tables
    }


def purge(archiver: Archiver, group: Group, before: datetime, year: int) -> Purged:
    """Archives these people together, proves what the store gives back, and deletes them from master, or nobody.

    The caller holds the locks, and has left out whom a live row names. Raises RefusedError where one is named by now,
    or a row changed since it was archived.
    """
    master = group.site.master
    with work_folder(archiver.work) as work:
        begun = purge_record.start(master, year, before, group.ids, archiver.keys.recipients)
        packed = pack(archiver, _extract(group, begun, work), work)
        encrypted = bool(archiver.keys.recipients)
        key = layout.purge_key(year, begun.id, new_extraction(), encrypted=encrypted)
        archiver.bucket.put(key, packed.path, packed.digests)
        archiver.schemas.keep(packed.extract.manifest.schemas.values(), work)
        there = purge_record.stored(
            master, begun, archiver.bucket.location(key), packed.extract.manifest, packed.digests
        )
        with opened(fetch(archiver.bucket, there, work / "fetched"), archiver.keys) as archive:
            verify(archive, there.id, there.year, archiver.ground, group.model)
        done = _delete(archiver, group, purge_record.verified(master, there), work)
    return Purged(purge=done, late=needed_by(archiver.place, group.ids))


def restore(archiver: Archiver, number: int) -> dict[str, Loaded]:
    """Brings the people of a purge back, in one transaction; who is live again by then stays as they are.

    Raises UsageError where there is no such purge or it came back, DamagedError where the archive is not what it was.
    """
    wanted = _purged(archiver, number)
    group, master = group_of(archiver.place, wanted.ids), archiver.place.master
    with work_folder(archiver.work) as work, opened(fetch(archiver.bucket, wanted, work), archiver.keys) as archive:
        belongs_to(archive, wanted.id, wanted.year)
        incoming = Incoming(site=group.site, model=group.model, archive=archive, mappings=fitting(group.site, archive))
        with master.rolled_back():
            with quiet(master, group.model, MASTER):
                loaded = load_database(incoming, MASTER, Neighbours(kept=(), everywhere=True))
                master.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
            purge_record.restored(master, wanted)
            master.commit(doing=f"restoring purge {number}")
    return loaded


def _purged(archiver: Archiver, number: int) -> Purge:
    for found in purge_record.every(archiver.place.master):
        if found.id == number and found.state is State.PURGED:
            return found
        if found.id == number:
            raise UsageError(f"Purge {number} is {found.state.value}: there is nobody to bring back.")
    raise UsageError(f"There is no purge {number}.", hint="inv users.purges lists them.")


def _extract(group: Group, begun: Purge, work: Path) -> Extract:
    files = {table: work / f"{number}.copy" for number, table in enumerate(group.model.tables)}
    who = Tenant(
        id=begun.id,
        name=f"{len(begun.ids)} people not seen since {begun.before:%Y-%m-%d}",
        shard=MASTER,
        customer_id=None,
        customer_name=None,
    )
    with group.site.master.rolled_back("REPEATABLE READ READ ONLY"):
        members = {layout.member(table): _copied(group, table, path) for table, path in files.items()}
    return Extract(
        tenant=who,
        year=begun.year,
        manifest=manifest_of(group.site, group.model, who, begun.year, members, highest(group.site, files)),
        rows={layout.member(table): RowFile(path) for table, path in files.items()},
        snapshots={},
        seconds=0.0,
    )


def _copied(group: Group, table: TableName, path: Path) -> Member:
    shape, spool = group.site.schemas[MASTER].tables[table.table], Spool(path)
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        column_list(shape), identifier(table.table), group.where(table), row_order(shape)
    )
    return spool.finish(group.site.master.copy_out(query, spool, doing=f"copying {table} out"))


def _delete(archiver: Archiver, group: Group, verified: Purge, work: Path) -> Purge:
    """Locks every row, looks again who is named, proves content, deletes, and writes so: all or nothing."""
    master = group.site.master
    with master.rolled_back():
        found = {table: _locked(group, table) for table in group.model.tables}
        if needed := needed_by(archiver.place, group.ids):
            names = "; ".join(f"{number} by {', '.join(by)}" for number, by in needed.items())
            raise RefusedError(f"Purging refused: somebody is named by now: {names}.", hint=AGAIN)
        for table in group.model.tables:
            if _copied(group, table, work / "now.copy") != verified.members[layout.member(table)]:
                raise RefusedError(f"Purging refused: rows of {table} changed since they were archived.", hint=AGAIN)
        prove_shape(group.site)
        delete(group.site, group.model, MASTER, found)
        done = purge_record.purged(master, verified)
        master.commit(doing=f"deleting the people of purge {verified.id}")
    return done


def _locked(group: Group, table: TableName) -> Rows:
    identity = identity_of(group.site.schemas[MASTER].tables[table.table])
    columns = SQL(", ").join(map(Identifier, identity))
    query = SQL("SELECT {0} FROM {1} WHERE {2} ORDER BY {0} FOR UPDATE").format(
        columns, identifier(table.table), group.where(table)
    )
    return Rows(identity=identity, columns=identity, rows=group.site.master.keys(query, doing=f"locking {table}"))
