"""The archive file: a deterministic tar inside gzip. Read member by member, never unpacked to a path."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from isal import igzip, igzip_lib

from archiver.format import encryption, layout, tar_headers
from archiver.format.encryption import Keys
from archiver.format.manifest import Manifest, Member
from archiver.format.rows import JOIN, CopyRows
from errors import DamagedError

NotGzip: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # its stub mistakes the class for an instance
IN_MEMORY = 32 << 20  # bytes of an opened archive above which it goes to an unnamed file


def write(path: Path, texts: Mapping[str, bytes], rows: Mapping[str, CopyRows]) -> None:
    """Write the archive, members sorted by name. Equal content gives equal bytes."""
    with path.open("wb") as out:
        gz = igzip.IGzipFile(filename="", fileobj=out, mode="wb", compresslevel=1, mtime=0)
        with gz:
            for data in _joined(_tar(texts, rows)):
                gz.write(data)


def pack(manifest: Manifest, rows: Mapping[str, CopyRows], keys: Keys, work: Path) -> tuple[Manifest, Path]:
    """Pack rows, by member, into an archive in the work folder, encrypted if there are recipients.

    Return the manifest as written into the archive, and the archive's path.
    """
    manifest, texts = layout.with_digests(manifest)
    path = work / layout.tarball_of(manifest)
    write(path, texts, rows)
    return manifest, encryption.encrypt(path, keys) if keys.recipients else path


def _tar(texts: Mapping[str, bytes], rows: Mapping[str, CopyRows]) -> Iterator[bytes]:
    for name in sorted([*texts, *rows]):
        size = len(texts[name]) if name in texts else rows[name].size
        yield tar_headers.header(name, size)
        if name in texts:
            yield texts[name]
        else:
            yield from rows[name].chunks()
        yield tar_headers.padding(size)
    yield tar_headers.END


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces: every call of the compressor costs time."""
    gathered = bytearray()
    for part in parts:
        gathered += part
        if len(gathered) >= JOIN:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


class Archive:
    """An opened archive; every byte has been checked against its manifest."""

    def __init__(self, tar: tarfile.TarFile, name: str) -> None:
        self.name = name  # of the file
        self._tar = tar
        self._entries = self._index()
        self.manifest = Manifest.from_json(self._bytes(layout.MANIFEST))
        self._prove()

    def open(self, member: str) -> IO[bytes]:
        """Return a member's bytes as a file. Each call starts at the beginning."""
        source = self._tar.extractfile(self._entries[member])
        assert source is not None  # _index lets only plain files through
        return source

    def _index(self) -> dict[str, tarfile.TarInfo]:
        entries: dict[str, tarfile.TarInfo] = {}
        for entry in self._tar:
            if not entry.isreg() or entry.name in entries:
                raise DamagedError(f"{self.name} holds a member that does not belong there: {entry.name!r}.")
            entries[entry.name] = entry
        if layout.MANIFEST not in entries:
            raise DamagedError(f"{self.name} holds no {layout.MANIFEST}.")
        return entries

    def _prove(self) -> None:
        expected = {layout.MANIFEST, *self.manifest.texts, *self.manifest.members}
        for name in sorted(expected ^ self._entries.keys()):
            raise DamagedError(f"{self.name} {'lacks' if name in expected else 'holds a stray'} member {name!r}.")
        for name, sha256 in self.manifest.texts.items():
            if hashlib.sha256(self._bytes(name)).hexdigest() != sha256:
                raise DamagedError(f"{self.name}: the member {name} does not match its SHA-256.")
        for name, member in self.manifest.members.items():
            if measured(self.open(name)) != member:
                raise DamagedError(f"{self.name}: the member {name} does not match its rows and SHA-256.")

    def _bytes(self, name: str) -> bytes:
        return self.open(name).read()


def measured(source: IO[bytes]) -> Member:
    """Return the rows, bytes and SHA-256 of COPY text."""
    digest, rows, size = hashlib.sha256(), 0, 0
    while data := source.read(JOIN):
        digest.update(data)
        rows += data.count(b"\n")
        size += len(data)
    return Member(rows=rows, bytes=size, sha256=digest.hexdigest())


@contextmanager
def opened(path: Path, keys: Keys) -> Iterator[Archive]:
    """Open an archive, encrypted or not, and check it against its own manifest.

    Nothing is unpacked to a path: the tar is in an unnamed file, from which members are read in any order.
    Raises DamagedError for anything but a complete archive of this format, UsageError if no key opens it.
    """
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(path.parent)) as plain:
        try:
            with _tarball(path, keys) as packed, igzip.open(packed, "rb") as gz:
                shutil.copyfileobj(gz, plain, JOIN)
            plain.seek(0)
            tar = tarfile.open(fileobj=plain, mode="r:")  # noqa: SIM115 - lives as long as `plain`
            archive = Archive(tar, path.name)
        except (tarfile.TarError, EOFError, OSError, ValueError, NotGzip) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # a failure of the disk, not of the archive
            raise DamagedError(f"{path.name} is not a complete archive: {str(error).rstrip('.')}.") from error
        yield archive


@contextmanager
def _tarball(path: Path, keys: Keys) -> Iterator[IO[bytes]]:
    """Yield the plain tarball. A decrypted one is in an unnamed file too."""
    if not encryption.is_encrypted(path.name):
        with path.open("rb") as packed:
            yield packed
        return
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=str(path.parent)) as packed:
        encryption.decrypt(path, keys, packed)
        packed.seek(0)
        yield packed
