"""An archive proved by restoring it: loaded into bare scratch tables, read back and compared, its rules asked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.manifest import Manifest
from archiver.format.rows import JOIN, Digest
from archiver.postgres.schema import TENANT, Table, column_list
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier
from archiver.verify.rules import proofs
from archiver.verify.scratch import ScratchDatabase
from errors import CutoverError, DamagedError, RefusedError


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The proof that an archive holds what it says and can be restored; a deletion asks for one."""

    manifest: Manifest
    seconds: float  # to restore into the scratch database


def verify(archive: Archive, tenant_id: int, year: int, scratch: ScratchDatabase, model: Model) -> Verified:
    """Restores an archive into the scratch database and compares rows and content; nothing stays there.

    Raises RefusedError where the archive is another tenant's, or does not come back as it went in.
    """
    belongs_to(archive, tenant_id, year)
    began = time.monotonic()
    _prove([archive], scratch, model)
    return Verified(manifest=archive.manifest, seconds=time.monotonic() - began)


def verify_together(
    archives: Sequence[Archive], scratch: ScratchDatabase, model: Model
) -> list[Verified | CutoverError]:
    """The same of several tenants' archives of one shape in one go; of each, in their order, the proof or what is
    wrong with it."""
    began = time.monotonic()
    try:
        _prove(archives, scratch, model)
    except CutoverError as error:
        if isinstance(error, DatabaseError) and error.lost:
            raise
        return [_alone(archive, scratch, model) for archive in archives]
    seconds = (time.monotonic() - began) / len(archives)
    return [Verified(manifest=archive.manifest, seconds=seconds) for archive in archives]


def _alone(archive: Archive, scratch: ScratchDatabase, model: Model) -> Verified | CutoverError:
    manifest = archive.manifest
    try:
        return verify(archive, manifest.tenant_id, manifest.year, scratch, model)
    except CutoverError as error:
        if isinstance(error, DatabaseError) and error.lost:
            raise
        return error


def belongs_to(archive: Archive, tenant_id: int, year: int) -> None:
    """DamagedError unless the archive is this tenant's of this year."""
    manifest = archive.manifest
    if (manifest.tenant_id, manifest.year) != (tenant_id, year):
        noun = manifest.noun
        raise DamagedError(
            f"{archive.name} is the archive of {noun} {manifest.tenant_id}, year {manifest.year}, "
            f"not of {noun} {tenant_id}, year {year}."
        )


def _prove(archives: Sequence[Archive], scratch: ScratchDatabase, model: Model) -> None:
    for database, schema in archives[0].manifest.schemas.items():
        with scratch.empty(schema) as places:
            for name, shape in schema.tables.items():
                _restore(archives, TableName(database, name), shape, places[name], scratch)
            for proof in proofs(model, database, schema, places):
                query = SQL("SELECT count(*) FROM ({}) broken").format(proof.broken)
                broken = scratch.session.row(query, doing=f"proving {proof.table}")[0]
                if broken:
                    raise RefusedError(f"Verifying {proof.table} failed: {proof.rule} ({broken}).")


def _restore(
    archives: Sequence[Archive], table: TableName, shape: Table, place: Composable, scratch: ScratchDatabase
) -> None:
    """Loads one table of all the archives and reads it back as it lies."""
    member = layout.member(table)
    columns = SQL("{}, {}").format(Identifier(TENANT), column_list(shape))
    source = _Members(archives, member)
    target = SQL("{} ({})").format(place, columns)
    rows = scratch.session.copy_in(target, source, doing=f"loading {table}")
    back = Digest()
    came = scratch.session.copy_out(
        SQL("SELECT {} FROM {}").format(columns, place), back, doing=f"reading {table} back"
    )
    wanted = sum(archive.manifest.members[member].rows for archive in archives)
    found = back.finish(came)
    if rows != wanted or (found.rows, found.sha256) != (wanted, source.sha256):
        raise RefusedError(f"Verifying {table} failed: {came} of {wanted} rows came back, or with other content.")


class _Members:
    """One member of each archive as a single source for COPY, each row behind its tenant's id."""

    def __init__(self, archives: Sequence[Archive], member: str) -> None:
        self._chunks = (data for archive in archives for data in _behind_tenant(archive, member))
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next piece, of whatever size: psycopg2 takes it as it comes."""
        data = next(self._chunks, b"")
        self._hash.update(data)
        return data

    def readline(self, size: int = -1, /) -> bytes:
        """COPY does not ask for lines."""
        return self.read(size)

    @property
    def sha256(self) -> str:
        """Of all that was read."""
        return self._hash.hexdigest()


def _behind_tenant(archive: Archive, member: str) -> Iterator[bytes]:
    tenant, begins = f"{archive.manifest.tenant_id}\t".encode(), True
    with archive.open(member) as source:
        while data := source.read(JOIN):
            ends = data.endswith(b"\n")
            body = data[:-1] if ends else data
            yield (tenant if begins else b"") + body.replace(b"\n", b"\n" + tenant) + (b"\n" if ends else b"")
            begins = ends
