"""The way back: a set of archived tenants, each into its shard, then into master together with the record's end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from archiver import encryption, kept, notes, records, tenants
from archiver.archive import Archiver, fetch
from archiver.bundle import opened
from archiver.catalog import MASTER, SHARD, Model
from archiver.fit import fitting
from archiver.folders import work_folder
from archiver.load import Incoming, Loaded, Neighbours, load_database
from archiver.postgres import Session
from archiver.records import Record, State
from archiver.restore_plan import refuse_by_rows
from archiver.verify import belongs_to, verify
from archiver.workplace import Site
from errors import CutoverError, RefusedError
from inventory.migrations import Changes

LOADED = "restored"  # the marker's act


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of one tenant."""

    record: Record
    seconds: float
    tables: Mapping[str, Loaded]  # pretended: what would be loaded
    error: CutoverError | None = None


Tell = Callable[[Restored], None]


def restore(
    archiver: Archiver, wanted: Iterable[Record], *, pretend: bool, tell: Tell, last: Changes | None = None
) -> list[Restored]:
    """Brings tenants back; one that fails stays archived and is reported, the others go on.

    Raises UsageError, with nothing touched, where an archive is encrypted and no identity was given.
    The caller holds the locks. `tell` hears of each tenant as it ends. `last` is mapped after all migrations.
    """
    wanted = list(wanted)
    encryption.refuse_if_closed((record.location for record in wanted), archiver.keys)
    outcomes = []
    for record in wanted:
        outcomes.append(_attempt(archiver, record, pretend, last))
        tell(outcomes[-1])
    return outcomes


def _attempt(archiver: Archiver, record: Record, pretend: bool, last: Changes | None) -> Restored:
    began = time.monotonic()
    try:
        with work_folder(archiver.work) as work:
            tables = _pretend(archiver, record, work) if pretend else _restore(archiver, record, work, last)
        return Restored(record=record, seconds=time.monotonic() - began, tables=tables)
    except CutoverError as error:
        return Restored(record=record, seconds=time.monotonic() - began, tables={}, error=error)


def _pretend(archiver: Archiver, record: Record, work: Path) -> dict[str, Loaded]:
    """Fetches and verifies, and says what would be loaded."""
    path = fetch(archiver.bucket, record, work)
    with opened(path, archiver.keys) as archive:
        manifest = verify(archive, record.tenant_id, record.year, archiver.scratch, archiver.model).manifest
    return {
        name.removesuffix(".copy").replace("/", "."): Loaded(inserted=member.rows)
        for name, member in manifest.members.items()
    }


def _restore(archiver: Archiver, record: Record, work: Path, last: Changes | None) -> dict[str, Loaded]:
    """The mission's numbered list: fetch, verify, load the shard, then master, the record's end and the log."""
    site = archiver.place.site(record.shard)
    record = _still_archived(archiver, record)
    path = fetch(archiver.bucket, record, work)
    with opened(path, archiver.keys) as archive:
        belongs_to(archive, record.tenant_id, record.year)
        mappings = fitting(site, archive, last)
        incoming = Incoming(site=site, model=archiver.model, archive=archive, mappings=mappings)
        record = records.restoring(site.master, record)
        try:
            return _load_both(incoming, record)
        except CutoverError as error:
            _step_back(site, record)
            refuse_by_rows(incoming, error)
            raise


def _step_back(site: Site, record: Record) -> None:
    """Where nothing was committed, the tenant is archived as before; where that can't be seen, a rerun settles it."""
    with suppress(CutoverError):
        if notes.marked(site.apart, record, LOADED) is None:
            records.step_back(site.master, record, State.ARCHIVED)


def _still_archived(archiver: Archiver, record: Record) -> Record:
    """Reads the record again, now under the lock."""
    noun = archiver.model.tenant.noun
    for now in records.of_tenant(archiver.place.master, record.tenant_id, record.year):
        if now.state in (State.ARCHIVED, State.RESTORING):
            return now
    raise RefusedError(f"{noun.capitalize()} {record.tenant_id} is not archived for {record.year} any more.")


def _load_both(incoming: Incoming, record: Record) -> dict[str, Loaded]:
    """Loads all databases before any commits; the shard goes first, with a marker by which a rerun skips it."""
    site = incoming.site
    with ExitStack() as transactions:
        for session in site.sessions.values():
            transactions.enter_context(session.rolled_back())
        live = _neighbours(site, incoming.model, record)
        loaded = _load_shard(incoming, site.apart, record, live) if site.apart else {}
        loaded |= load_database(incoming, MASTER, live)
        records.remove(site.master, record)
        kept.forget(site.master)
        notes.log(site.master, "restore", record, {**_counted(loaded), "sha256": record.sha256})
        what = f"{incoming.model.tenant.noun} {record.tenant_id}"
        if site.apart:
            site.apart.commit(doing=f"restoring {what} in the shard")
        site.master.commit(doing=f"restoring {what} in master")
    return loaded


def _counted(loaded: Mapping[str, Loaded]) -> dict[str, object]:
    """What the log keeps of a restore: rows by table, and what today's tables had no place for."""
    tables = {
        name: {what: rows for what, rows in asdict(table).items() if what != "lost"} for name, table in loaded.items()
    }
    lost = {f"{name}.{column}": rows for name, table in loaded.items() for column, rows in table.lost.items()}
    return {"tables": tables, "lost": lost}


def _neighbours(site: Site, model: Model, record: Record) -> Neighbours:
    """Where the tenant's own row is live though it was deleted, another archive of it came back before this one."""
    tenant = tenants.unknown(site.master, model.tenant, [record.tenant_id])
    return Neighbours(
        kept=record.kept,
        older=partial(kept.from_older, site.master, record),
        everywhere=not tenant and str(model.root) not in record.kept,
    )


def _load_shard(incoming: Incoming, shard: Session, record: Record, live: Neighbours) -> dict[str, Loaded]:
    marker = notes.marked(shard, record, LOADED)
    if marker is not None:
        return {name: Loaded(**counts) for name, counts in marker.items()}
    loaded = load_database(incoming, SHARD, live)
    notes.mark(shard, record, LOADED, {name: asdict(counts) for name, counts in loaded.items()})
    return loaded
