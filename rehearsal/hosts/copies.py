"""Copies of a host's backups in the lab's store, through its filer: boto3 takes longer to start than a backup."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from errors import CutoverError
from rehearsal.blueprint import BACKUPS
from rehearsal.hosts.command import ThisHost
from rehearsal.ports import LOOPBACK

MOST = 1000  # entries of a folder
PIECE = 1 << 20
SECONDS = 60


def location(host: ThisHost, path: str) -> str:
    """Return the address of a host's copy in the store."""
    return f"s3://{BACKUPS}/{host.name}/{path}"


def put(host: ThisHost, path: str, file: Path) -> None:
    """Store a file; CutoverError if the store does not take it."""
    with file.open("rb") as body, _answer(host, "PUT", path, body) as answer:
        if answer.status != http.client.CREATED:
            raise CutoverError(f"Storing {location(host, path)} failed: {answer.status} {answer.reason}.")


def folders(host: ThisHost) -> list[str]:
    """Return the names of a host's stored backups, the newest first."""
    with _answer(host, "GET", f"?limit={MOST}") as answer:
        entries = json.loads(answer.read())["Entries"] if answer.status == http.client.OK else ()
    return sorted((Path(entry["FullPath"]).name for entry in entries or ()), reverse=True)


def sha256(host: ThisHost, path: str) -> str:
    """Fetch a copy and return its SHA-256; empty if there is none."""
    digest = hashlib.sha256()
    with _answer(host, "GET", path) as answer:
        if answer.status != http.client.OK:
            return ""
        while piece := answer.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _answer(host: ThisHost, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
    """Yield the store's answer, with its content still to be read; CutoverError if there is none."""
    address = f"/buckets/{BACKUPS}/{host.name}/{path}"
    with closing(http.client.HTTPConnection(LOOPBACK, host.lab.store.port("filer"), timeout=SECONDS)) as connection:
        try:
            connection.request(method, address, body, {"Accept": "application/json"})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise CutoverError(f"Asking the store for {location(host, path)} failed: {error}.") from error
