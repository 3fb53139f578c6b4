"""The plain way to free space: DELETE with foreign keys on, children first, then VACUUM FULL."""

from __future__ import annotations

from pathlib import Path

from bench.measured import Measured, total
from bench.process import measure
from bench.servers import FILLED, MASTER
from bench.testbed import Testbed
from bench.year.make import SQL, settings

OWN = Path(__file__).parent


def delete(testbed: Testbed) -> Measured:
    """Delete every school that the night does not exclude, one statement per table; then run VACUUM FULL."""
    deleted = total(_delete(testbed, name) for name in FILLED)
    return (deleted + _vacuum(testbed)).with_note(
        f"DELETE alone {deleted.seconds:.1f} s, {deleted.wal >> 20} MiB of WAL"
    )


def _vacuum(testbed: Testbed) -> Measured:
    """Rewrite every table of the product."""
    words = (testbed.program("vacuumdb"), "--full", "--analyze", "--jobs=2", "--schema=public")
    return total(measure([*words, f"--dbname={name}"], testbed.cluster, env=testbed.libpq) for name in FILLED)


def _delete(testbed: Testbed, name: str) -> Measured:
    path = testbed.folder / f"delete-{name}.sql"
    script = OWN / ("delete_master.sql" if name == MASTER else "delete_shard.sql")
    parts = ((SQL / "roll.sql").read_text(encoding="utf-8"), script.read_text(encoding="utf-8"))
    path.write_text(settings(testbed.size, name) + "".join(parts), encoding="utf-8")
    words = (testbed.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-f", path, "-d", name)
    return measure(words, testbed.cluster, env=testbed.libpq)
