"""The result of extracting and packing a tenant: a tarball in the work folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archiver.extract.one import Extract
from archiver.store.bucket import Digests


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A tenant's tarball in the work folder."""

    extract: Extract
    path: Path
    digests: Digests
