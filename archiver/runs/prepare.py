"""Prepare one unit of a bulk run: make verified archives of some tenants of one shard.

A unit may be repeated at any time, by any worker: verified archives stay, everything else starts again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from archiver.delete.one import Deletion
from archiver.extract import many
from archiver.extract.one import Extract
from archiver.extract.packed import Packed
from archiver.format import bundle
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant, of_ids
from archiver.records import archive_record, resumable
from archiver.records.archive_record import Record, StoredTarball
from archiver.records.archive_request import ArchiveRequest
from archiver.runs.context import ArchiveOutcome, Archiver, deadline_passed, fetch, new_location, out_of_time, pack
from archiver.runs.each import Together
from archiver.runs.units import Unit
from archiver.store.bucket import Bucket
from archiver.verify.verify import Verified, belongs_to, verify_together
from errors import CutoverError
from inventory.keys import Key

TOGETHER, TOGETHER_BYTES = 50, 32 << 20  # tenants stored and verified together, and bytes of their rows
AT_ONCE = 4  # requests to the store
_OF_ROWS = 16  # rows may take 1/16 of the memory while they are sorted


@dataclass(frozen=True, kw_only=True)
class _Preparing:
    archiver: Archiver
    request: ArchiveRequest
    work: Path
    pool: Executor  # for requests to the store
    tenants: Together[Key, Deletion | None] = field(default_factory=Together)

    def postpone(self, extracts: Sequence[Extract]) -> None:
        """Report these tenants as skipped for lack of time."""
        for extract in extracts:
            self.tenants.fail(extract.tenant.id, out_of_time(self.archiver.model.tenant.noun, extract.tenant.id))


def prepare(archiver: Archiver, unit: Unit, memory: int) -> list[ArchiveOutcome]:
    """Extract, pack, store and verify; return the outcome of each tenant.

    A tenant that fails stays live; the others continue. `memory` is the limit for all of it, in bytes.
    """
    databases, request = archiver.databases, unit.request
    tenants = _unverified(archiver, unit)
    if not tenants:
        return []
    with work_folder(archiver.work) as work, (work / "rows").open("w+b") as file, ThreadPoolExecutor(AT_ONCE) as pool:
        preparing = _Preparing(archiver=archiver, request=request, work=work, pool=pool)
        begun = {} if request.pretend else _begin(preparing, tenants)
        extracted = many.extract_many(
            databases.placement(unit.shard), archiver.model, tenants, request.year, file, memory // _OF_ROWS
        )
        for group in _groups(extracted):
            if deadline_passed(request):
                preparing.postpone(group)
                continue
            proven = _pretended(preparing, group) if request.pretend else _stored_and_proven(preparing, group, begun)
            preparing.tenants.outcomes.extend(map(_outcome, proven))
    return preparing.tenants.outcomes


def _unverified(archiver: Archiver, unit: Unit) -> list[Tenant]:
    """Return the unit's tenants that no earlier worker verified: a unit whose worker died is repeated."""
    master = archiver.databases.master
    tenants = of_ids(master, archiver.model.tenant, unit.tenant_ids)
    before = set() if unit.request.pretend else _verified(master, unit)
    return [tenant for tenant in tenants if tenant.id not in before]


def _verified(master: Session, unit: Unit) -> set[Key]:
    return {record.tenant_id for record in resumable.ready(master, unit.tenant_ids, unit.request)}


def _begin(preparing: _Preparing, tenants: Sequence[Tenant]) -> dict[Key, Record]:
    archiver, request = preparing.archiver, preparing.request
    locations = [new_location(archiver, request.year, tenant.id) for tenant in tenants]
    return archive_record.start(archiver.databases.master, tenants, request, locations, archiver.keys.recipients)


_Stored = tuple[StoredTarball, Packed]


@dataclass(frozen=True, kw_only=True)
class PreparedTenant:
    """A tenant with a verified archive."""

    tenant_id: Key
    packed: Packed
    proof: Verified


def _groups(extracted: Iterable[Extract]) -> Iterator[list[Extract]]:
    group: list[Extract] = []
    for extract in extracted:
        group.append(extract)
        if len(group) == TOGETHER or sum(map(_size, group)) > TOGETHER_BYTES:
            yield group
            group = []
    if group:
        yield group


def _size(extract: Extract) -> int:
    return sum(member.bytes for member in extract.manifest.members.values())


def _pretended(preparing: _Preparing, extracts: Sequence[Extract]) -> list[PreparedTenant]:
    packed = [pack(preparing.archiver, extract, preparing.work) for extract in extracts]
    return _proven(preparing, [(each, each.path) for each in packed])


def _stored_and_proven(
    preparing: _Preparing, extracts: Sequence[Extract], begun: Mapping[Key, Record]
) -> list[PreparedTenant]:
    """Verify what the store returns, not what was sent."""
    master = preparing.archiver.databases.master
    stored = _stored(preparing, extracts, begun)
    archive_record.all_stored(master, [tarball for tarball, _ in stored])
    proven = _proven(preparing, _fetched(preparing, stored))
    archive_record.all_verified(master, {begun[tenant.tenant_id].id: tenant.proof.seconds for tenant in proven})
    return proven


def _stored(preparing: _Preparing, extracts: Sequence[Extract], begun: Mapping[Key, Record]) -> list[_Stored]:
    """Pack one tenant while the archives before it are uploaded."""
    preparing.archiver.schemas.put(extracts[0].manifest.schemas.values(), preparing.work)
    uploads: list[tuple[Key, Future[_Stored]]] = []
    began = time.monotonic()
    for extract in extracts:
        packed = pack(preparing.archiver, extract, preparing.work)
        record = begun[extract.tenant.id]
        uploads.append((record.tenant_id, preparing.pool.submit(_put, preparing.archiver.bucket, record, packed)))
    stored = []
    for tenant_id, upload in uploads:
        with preparing.tenants.skip_on_error(tenant_id):
            stored.append(upload.result())
    share = (time.monotonic() - began) / len(extracts)
    return [(replace(tarball, seconds=tarball.seconds + share), packed) for tarball, packed in stored]


def _put(bucket: Bucket, record: Record, packed: Packed) -> _Stored:
    digests = bucket.put(bucket.key(record.location), packed.path, packed.digests)
    packed.path.unlink()
    record = replace(record, size=digests.size, sha256=digests.sha256)
    extract = packed.extract
    tarball = StoredTarball(
        record=record,
        manifest=extract.manifest,
        digests=digests,
        seconds=extract.seconds,
        snapshots=extract.snapshots,
    )
    return tarball, packed


def _fetched(preparing: _Preparing, stored: Sequence[_Stored]) -> list[tuple[Packed, Path]]:
    folder = preparing.work / "fetched"
    downloads = [
        (tarball, packed, preparing.pool.submit(fetch, preparing.archiver.bucket, tarball.record, folder))
        for tarball, packed in stored
    ]
    fetched = []
    for tarball, packed, download in downloads:
        with preparing.tenants.skip_on_error(tarball.record.tenant_id):
            fetched.append((packed, download.result()))
    return fetched


def _proven(preparing: _Preparing, packed: Sequence[tuple[Packed, Path]]) -> list[PreparedTenant]:
    """Verify the archives at these paths, and delete the files."""
    archiver, archives = preparing.archiver, []
    with ExitStack() as files:
        for packed_tenant, path in packed:
            with preparing.tenants.skip_on_error(packed_tenant.extract.tenant.id):
                archive = files.enter_context(bundle.opened(path, archiver.keys))
                belongs_to(archive, packed_tenant.extract.tenant.id, preparing.request.year)
                archives.append((packed_tenant, archive))
            path.unlink()
        proofs = verify_together([archive for _, archive in archives], archiver.scratch, archiver.model)
    proven = []
    for (packed_tenant, _), proof in zip(archives, proofs, strict=True):
        with preparing.tenants.skip_on_error(packed_tenant.extract.tenant.id):
            if isinstance(proof, CutoverError):
                raise proof
            proven.append(PreparedTenant(tenant_id=packed_tenant.extract.tenant.id, packed=packed_tenant, proof=proof))
    return proven


def _outcome(tenant: PreparedTenant) -> ArchiveOutcome:
    return ArchiveOutcome(
        item=tenant.tenant_id,
        seconds=tenant.packed.extract.seconds + tenant.proof.seconds,
        rows=tenant.proof.manifest.rows,
        size=tenant.packed.digests.size,
    )
