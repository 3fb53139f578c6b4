"""The tenants of one shard from their rows to verified archives: the unit of work of a run over many.

It may be done again at any moment, by anybody: what was verified stays, all else begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from archiver.delete import record_states
from archiver.delete.record_states import StoredTarball
from archiver.extract import many
from archiver.extract.one import Extract
from archiver.extract.packed import Packed
from archiver.format import bundle
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant, of_ids
from archiver.records.archive_record import ArchiveRequest, Record
from archiver.runs.context import ArchiveOutcome, Archiver, fetch, deadline_passed, new_location, out_of_time, pack
from archiver.runs.units import Unit
from archiver.store.bucket import Bucket
from archiver.verify.verify import Verified, belongs_to, verify_together
from errors import CutoverError

TOGETHER, TOGETHER_BYTES = 50, 32 << 20  # tenants that are stored and verified together, and bytes of their rows
AT_ONCE = 4  # requests to the store
_OF_ROWS = 16  # the part of the memory that rows may take while they are sorted


@dataclass(frozen=True, kw_only=True)
class _Preparing:
    archiver: Archiver
    request: ArchiveRequest
    work: Path
    pool: Executor  # for requests to the store
    outcomes: list[ArchiveOutcome] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def skip_on_error(self, tenant_id: int) -> Iterator[None]:
        """Where the block fails, this tenant is left as it was, and the others go on."""
        try:
            yield
        except CutoverError as error:
            seconds = time.monotonic() - self.began
            self.outcomes.append(ArchiveOutcome(tenant_id=tenant_id, seconds=seconds, error=error))

    def postpone(self, several: Sequence[Extract]) -> None:
        """Leaves these for another night."""
        for extract in several:
            with self.skip_on_error(extract.tenant.id):
                raise out_of_time(self.archiver.model.tenant.noun, extract.tenant.id)


def prepare(archiver: Archiver, unit: Unit, memory: int) -> list[ArchiveOutcome]:
    """Extracts, packs, stores and verifies; what became of each tenant.

    One that fails is left as it was, the others go on. `memory` is what all of it may take, in bytes.
    """
    databases, order = archiver.databases, unit.request
    tenants = _left(archiver, unit)
    if not tenants:
        return []
    with work_folder(archiver.work) as work, (work / "rows").open("w+b") as file, ThreadPoolExecutor(AT_ONCE) as pool:
        preparing = _Preparing(archiver=archiver, request=order, work=work, pool=pool)
        begun = {} if order.pretend else _begin(preparing, tenants)
        found = many.extract_many(
            databases.placement(unit.shard), archiver.model, tenants, order.year, file, memory // _OF_ROWS
        )
        for several in _several(found):
            if deadline_passed(order):
                preparing.postpone(several)
                continue
            proven = _pretended(preparing, several) if order.pretend else _stored_and_proven(preparing, several, begun)
            preparing.outcomes.extend(map(_outcome, proven))
    return preparing.outcomes


def _left(archiver: Archiver, unit: Unit) -> list[Tenant]:
    """Those that no worker before has verified: a unit whose worker died is done again."""
    master = archiver.databases.master
    tenants = of_ids(master, archiver.model.tenant, unit.tenant_ids)
    before = set() if unit.request.pretend else _verified(master, unit)
    return [tenant for tenant in tenants if tenant.id not in before]


def _verified(master: Session, unit: Unit) -> set[int]:
    return {record.tenant_id for record in record_states.ready(master, unit.tenant_ids, unit.request)}


def _begin(preparing: _Preparing, tenants: Sequence[Tenant]) -> dict[int, Record]:
    archiver, order = preparing.archiver, preparing.request
    locations = [new_location(archiver, order.year, tenant.id) for tenant in tenants]
    return record_states.start(archiver.databases.master, tenants, order, locations, archiver.keys.recipients)


@dataclass(frozen=True, kw_only=True)
class PreparedTenant:
    """A tenant whose archive was restored and compared."""

    tenant_id: int
    packed: Packed
    proof: Verified


def _several(found: Iterable[Extract]) -> Iterator[list[Extract]]:
    several: list[Extract] = []
    for extract in found:
        several.append(extract)
        if len(several) == TOGETHER or sum(map(_size, several)) > TOGETHER_BYTES:
            yield several
            several = []
    if several:
        yield several


def _size(extract: Extract) -> int:
    return sum(member.bytes for member in extract.manifest.members.values())


def _pretended(preparing: _Preparing, several: Sequence[Extract]) -> list[PreparedTenant]:
    packed = [pack(preparing.archiver, extract, preparing.work) for extract in several]
    return _proven(preparing, [(one, one.path) for one in packed])


def _stored_and_proven(
    preparing: _Preparing, several: Sequence[Extract], begun: Mapping[int, Record]
) -> list[PreparedTenant]:
    """Proves what the store gives back, not what was sent."""
    master = preparing.archiver.databases.master
    stored = _stored(preparing, several, begun)
    record_states.stored(master, stored)
    proven = _proven(preparing, _fetched(preparing, stored))
    record_states.verified(master, {begun[one.tenant_id].id: one.proof.seconds for one in proven})
    return proven


def _stored(preparing: _Preparing, several: Sequence[Extract], begun: Mapping[int, Record]) -> list[StoredTarball]:
    """Packs one tenant while those before it are on their way to the store."""
    preparing.archiver.schemas.keep(several[0].manifest.schemas.values(), preparing.work)
    ways: list[tuple[int, Future[StoredTarball]]] = []
    began = time.monotonic()
    for extract in several:
        packed = pack(preparing.archiver, extract, preparing.work)
        record = begun[extract.tenant.id]
        ways.append((record.tenant_id, preparing.pool.submit(_put, preparing.archiver.bucket, record, packed)))
    stored = []
    for tenant_id, way in ways:
        with preparing.skip_on_error(tenant_id):
            stored.append(way.result())
    share = (time.monotonic() - began) / len(several)
    return [replace(one, seconds=one.seconds + share) for one in stored]


def _put(bucket: Bucket, record: Record, packed: Packed) -> StoredTarball:
    bucket.put(bucket.key(record.location), packed.path, packed.digests)
    packed.path.unlink()
    record = replace(record, size=packed.digests.size, sha256=packed.digests.sha256)
    return StoredTarball(record=record, packed=packed, seconds=packed.extract.seconds)


def _fetched(preparing: _Preparing, stored: Sequence[StoredTarball]) -> list[tuple[Packed, Path]]:
    folder = preparing.work / "fetched"
    ways = [(one, preparing.pool.submit(fetch, preparing.archiver.bucket, one.record, folder)) for one in stored]
    fetched = []
    for one, way in ways:
        with preparing.skip_on_error(one.record.tenant_id):
            fetched.append((one.packed, way.result()))
    return fetched


def _proven(preparing: _Preparing, packed: Sequence[tuple[Packed, Path]]) -> list[PreparedTenant]:
    """Proves what lies at these paths; the files go."""
    archiver, archives = preparing.archiver, []
    with ExitStack() as files:
        for one, path in packed:
            with preparing.skip_on_error(one.extract.tenant.id):
                archive = files.enter_context(bundle.opened(path, archiver.keys))
                belongs_to(archive, one.extract.tenant.id, preparing.request.year)
                archives.append((one, archive))
            path.unlink()
        proofs = verify_together([archive for _, archive in archives], archiver.scratch, archiver.model)
    proven = []
    for (one, _), proof in zip(archives, proofs, strict=True):
        with preparing.skip_on_error(one.extract.tenant.id):
            if isinstance(proof, CutoverError):
                raise proof
            proven.append(PreparedTenant(tenant_id=one.extract.tenant.id, packed=one, proof=proof))
    return proven


def _outcome(one: PreparedTenant) -> ArchiveOutcome:
    return ArchiveOutcome(
        tenant_id=one.tenant_id,
        seconds=one.packed.extract.seconds + one.proof.seconds,
        rows=one.proof.manifest.rows,
        size=one.packed.digests.size,
    )
