"""A set of tenants out of the live databases: extract, pack, store, verify, reclaim."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from archiver import bundle, choice, encryption, layout, records
from archiver.catalog import Model
from archiver.coverage import completeness
from archiver.encryption import Keys
from archiver.extract import Extract, Extraction, IdArrays
from archiver.fence import fenced, let_in
from archiver.folders import work_folder
from archiver.mapping.stored_schemas import StoredSchemas
from archiver.postgres import DatabaseError
from archiver.proving.ground import Ground
from archiver.proving.verify import Verified, verify
from archiver.reclaiming.reclaim import DeleteRows, Proven, Reclaim, Reclaimed, put_back, resume
from archiver.records import Order, Record, State
from archiver.storage import Bucket, Digests, file_digests
from archiver.tenants import Tenant
from archiver.workplace import Site, Workplace
from errors import CutoverError, DamagedError, RefusedError, UsageError
from inventory.model import Fence


@dataclass(frozen=True, kw_only=True)
class Archiver:
    """What the work is done with."""

    place: Workplace
    bucket: Bucket
    schemas: StoredSchemas  # of that bucket
    ground: Ground  # where archives are proved
    keys: Keys
    work: Path  # where rows are spooled
    fence: Fence | None = None
    extraction: Extraction = field(default_factory=IdArrays)
    reclaiming: Reclaim = field(default_factory=DeleteRows)

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.place.model


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A tenant's tarball in the work folder."""

    extract: Extract
    path: Path
    digests: Digests


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one tenant."""

    tenant_id: int
    seconds: float
    rows: int = 0
    size: int = 0  # bytes of the tarball
    reclaimed: Reclaimed | None = None  # none: pretended, or failed
    error: CutoverError | None = None


Tell = Callable[[Outcome], None]


def chosen(archiver: Archiver, tenant_id: int, year: int) -> Tenant:
    """The live tenant that is not archived for the year; UsageError where there is none.

    Of one that is archived the fence is opened: a run that was killed at its very end left it closed.
    """
    try:
        return choice.one_to_archive(archiver.place, tenant_id, year)
    except choice.ArchivedError:
        let_in(archiver.fence, archiver.model.tenant.noun, tenant_id)
        raise


def archive(archiver: Archiver, tenants: Iterable[Tenant], order: Order, tell: Tell) -> list[Outcome]:
    """Archives tenants, shard by shard; one that fails is left as it was and reported, the others go on.

    Raises UsageError, with nothing touched, where the catalog does not know all that can point at a tenant's rows, or
    has no such depth. The caller holds the locks. `tell` hears of each tenant as it ends.
    """
    archiver.model.rule(order.depth)
    completeness.prove(archiver.place)
    outcomes: list[Outcome] = []
    for shard, group in groupby(sorted(tenants, key=attrgetter("shard", "id")), attrgetter("shard")):
        for batch in _batches(list(group), archiver.extraction.batch):
            for outcome in _attempt(archiver, shard, batch, order):
                tell(outcome)
                outcomes.append(outcome)
    return outcomes


def _attempt(archiver: Archiver, shard: str, tenants: Sequence[Tenant], order: Order) -> list[Outcome]:
    began, act = time.monotonic(), _pretend if order.pretend else _archive
    try:
        with work_folder(archiver.work) as work, _fenced(archiver, tenants, order):
            return act(archiver, archiver.place.site(shard), tenants, order, work)
    except CutoverError as error:
        archiver.place.forget_schemas()  # a migration may be what went wrong
        return [Outcome(tenant_id=one.id, seconds=time.monotonic() - began, error=error) for one in tenants]


@contextmanager
def _fenced(archiver: Archiver, tenants: Sequence[Tenant], order: Order) -> Iterator[None]:
    """Keeps the application off these tenants, but in a night, when maintenance mode does."""
    fence = None if order.pretend or order.night else archiver.fence
    with ExitStack() as fences:
        for tenant in tenants:
            fences.enter_context(fenced(fence, archiver.model.tenant.noun, tenant.id))
        yield


def _archive(archiver: Archiver, site: Site, tenants: Sequence[Tenant], order: Order, work: Path) -> list[Outcome]:
    """The mission's numbered list, for tenants of one shard."""
    began = time.monotonic()
    ended = [done for tenant in tenants if (done := _end_earlier(archiver, site, tenant, order, work))]
    fresh = [tenant for tenant in tenants if tenant.id not in {done.record.tenant_id for done in ended}]
    begun = {tenant.id: _begin(archiver, tenant, order) for tenant in fresh}
    proven = []
    for extract in archiver.extraction.extract(site, archiver.model, fresh, order.year, work):
        packed = _pack(archiver, extract, work)
        record = _store(archiver, begun[extract.tenant.id], packed, work)
        proven.append(_verify(archiver, record, packed, work))
    reclaimed = archiver.reclaiming.reclaim(site, archiver.model, proven, work)
    seconds = (time.monotonic() - began) / len(tenants)
    return [_outcome(done, seconds) for done in (*ended, *reclaimed)]


def _pretend(archiver: Archiver, site: Site, tenants: Sequence[Tenant], order: Order, work: Path) -> list[Outcome]:
    return [
        Outcome(
            tenant_id=packed.extract.tenant.id,
            seconds=packed.extract.seconds + proof.seconds,
            rows=proof.manifest.rows,
            size=packed.digests.size,
        )
        for packed, proof in pretended(archiver, site, tenants, order.year, work)
    ]


def pretended(
    archiver: Archiver, site: Site, tenants: Sequence[Tenant], year: int, work: Path
) -> Iterator[tuple[Packed, Verified]]:
    """Extracts, packs and verifies from the local file, and leaves no trace; `work` must be empty."""
    for extract in archiver.extraction.extract(site, archiver.model, tenants, year, work):
        packed = _pack(archiver, extract, work)
        with bundle.opened(packed.path, archiver.keys) as archive:
            proof = verify(archive, extract.tenant.id, year, archiver.ground, archiver.model)
        yield packed, proof


def _end_earlier(archiver: Archiver, site: Site, tenant: Tenant, order: Order, work: Path) -> Reclaimed | None:
    """Looks again, now under the lock, at what an earlier run left, and ends a deletion that was cut off."""
    noun, earlier = archiver.model.tenant.noun, records.of_tenant(archiver.place.master, tenant.id)
    choice.refuse_partial(noun, earlier)
    for record in earlier:
        _refuse_strange(record, noun, site, order)
        if record.year != order.year:
            continue
        if record.state is State.ARCHIVED:
            raise UsageError(f"{noun.capitalize()} {tenant.id} is archived already for {order.year}.")
        if record.state is State.RESTORING:
            raise RefusedError(
                f"{noun.capitalize()} {tenant.id} is half restored.", hint=f"Run: inv restore.{noun} {tenant.id}"
            )
        if record.state is State.DELETING:
            return _resume(archiver, site, record, work)
    return None


def _refuse_strange(record: Record, noun: str, site: Site, order: Order) -> None:
    """A run of another year or shard that was cut off must be ended first: only its record names its rows."""
    if record.state not in (State.DELETING, State.RESTORING):
        return
    who = f"{noun.capitalize()} {record.tenant_id} is {record.state.value} for {record.year}"
    if record.year != order.year:
        raise RefusedError(
            f"{who}, by a run that was cut off.",
            hint=f"End that first: the same command for {record.year} (--date, or --year at a restore).",
        )
    if record.shard != site.shard:
        raise RefusedError(
            f"{who} on {record.shard}, by a run that was cut off, and its shard is {site.shard} now.",
            hint=f"Set it back to {record.shard} and run this again.",
        )


def _resume(archiver: Archiver, site: Site, record: Record, work: Path) -> Reclaimed | None:
    """Ends a deletion that was cut off; where master refuses or changed, the shard's rows are put back instead."""
    try:
        return resume(site, archiver.model, record, work)
    except (RefusedError, DatabaseError) as error:
        if isinstance(error, DatabaseError) and error.passing:
            raise
        _put_back(archiver, site, record, work, error)
        raise RefusedError(
            f"{error} An earlier run had emptied the shard; its rows were put back from the archive.", hint=error.hint
        ) from error


def _put_back(archiver: Archiver, site: Site, record: Record, work: Path, why: CutoverError) -> None:
    """Puts the shard's rows back; of all that ends a deletion only this opens an archive of an earlier run."""
    try:
        with bundle.opened(fetch(archiver.bucket, record, work), archiver.keys) as stored:
            put_back(site, archiver.model, record, stored)
    except UsageError as closed:
        raise UsageError(
            f"{why} An earlier run had emptied the shard; its rows must be put back from the archive. {closed}",
            hint=closed.hint,
        ) from why


def _begin(archiver: Archiver, tenant: Tenant, order: Order) -> Record:
    location = new_location(archiver, order.year, tenant.id)
    return records.start(archiver.place.master, tenant, order, location, archiver.keys.recipients)


def new_location(archiver: Archiver, year: int, tenant_id: int) -> str:
    """An address in the store where nothing lies yet: no object is ever overwritten."""
    extraction = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    encrypted = bool(archiver.keys.recipients)
    key = layout.object_key(archiver.model.tenant.noun, year, tenant_id, extraction, encrypted=encrypted)
    return archiver.bucket.location(key)


def _pack(archiver: Archiver, extract: Extract, work: Path) -> Packed:
    manifest, texts = layout.sealed(extract.manifest)
    path = work / layout.tarball(manifest.noun, manifest.year, manifest.tenant_id)
    bundle.write(path, texts, extract.rows)
    if archiver.keys.recipients:
        path = encryption.encrypt(path, archiver.keys)
    return Packed(extract=replace(extract, manifest=manifest), path=path, digests=file_digests(path))


def _store(archiver: Archiver, record: Record, packed: Packed, work: Path) -> Record:
    archiver.bucket.put(archiver.bucket.key(record.location), packed.path, packed.digests)
    archiver.schemas.keep(packed.extract.manifest.schemas.values(), work)
    return records.stored(
        archiver.place.master, record, packed.extract.manifest, packed.digests, packed.extract.seconds
    )


def _verify(archiver: Archiver, record: Record, packed: Packed, work: Path) -> Proven:
    """Proves what the store gives back, not what was sent."""
    with bundle.opened(fetch(archiver.bucket, record, work / "fetched"), archiver.keys) as stored:
        proof = verify(stored, record.tenant_id, record.year, archiver.ground, archiver.model)
    record = records.verified(archiver.place.master, record, proof.seconds)
    return Proven(record=record, proof=proof, snapshots=packed.extract.snapshots)


def fetch(bucket: Bucket, record: Record, folder: Path) -> Path:
    """Fetches a record's tarball; DamagedError unless its size and digests are those of the record."""
    folder.mkdir(exist_ok=True)
    path = folder / record.tarball
    found = bucket.get(bucket.key(record.location), path)
    if (found.size, found.sha256) != (record.size, record.sha256):
        raise DamagedError(
            f"{record.location} is not what was stored: {found.size} bytes with SHA-256 {found.sha256[:12]}…, "
            f"the record says {record.size} bytes with {str(record.sha256)[:12]}…. Nothing was changed.",
            hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
        )
    return path


def _outcome(done: Reclaimed, seconds: float) -> Outcome:
    record = done.record
    return Outcome(tenant_id=record.tenant_id, seconds=seconds, rows=record.rows, size=record.size or 0, reclaimed=done)


def _batches(tenants: list[Tenant], size: int) -> Iterator[list[Tenant]]:
    for start in range(0, len(tenants), size):
        yield tenants[start : start + size]
