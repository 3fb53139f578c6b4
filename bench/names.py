"""The subjects of the bench, by their names in its tables."""

from __future__ import annotations

from enum import StrEnum


class Subject(StrEnum):
    """The subjects: limits, peers, and the product."""

    COPY_OUT = "limit: psql COPY of the shards to /dev/null"
    GZIP = "limit: isal gzip of the first shard's bytes"
    DUMP = "pg_dump -Fd -j2 -Z gzip:1"
    RESTORE = "pg_restore -j2"
    DELETE = "DELETE + VACUUM FULL"
    BY_TABLE = "psql \\copy per table and school"
    SLICE_MEDIAN = "slice-db: median school"
    SLICE_LARGEST = "slice-db: largest school"
    OLD_WAY = "the old way"
    PACK = "product: extract + pack"
    PACK_COLD = "product: extract + pack, cold"
    MEDIAN = "product: median school, in a running process"
    LARGEST = "product: largest school, in a running process"
    INV_MEDIAN = "product: inv archive.school --pretend, median school"
    INV_LARGEST = "product: inv archive.school --pretend, largest school"
    YEAR = "product: whole year"
