"""The plain way to make room: DELETE with the foreign keys on, children first, then VACUUM FULL."""

from __future__ import annotations

from pathlib import Path

from bench.measured import Measured, total
from bench.process import measure
from bench.servers import FILLED, MASTER
from bench.testbed import Testbed
from bench.year.make import SQL, settings

OWN = Path(__file__).parent


def delete(ground: Testbed) -> Measured:
    """Every school that the night does not exclude, a statement a table; then the space given back."""
    deleted = total(_delete(ground, name) for name in FILLED)
    return (deleted + _vacuum(ground)).with_note(
        f"DELETE alone {deleted.seconds:.1f} s, {deleted.wal >> 20} MiB of WAL"
    )


def _vacuum(ground: Testbed) -> Measured:
    """Every table of the product rewritten."""
    words = (ground.program("vacuumdb"), "--full", "--analyze", "--jobs=2", "--schema=public")
    return total(measure([*words, f"--dbname={name}"], ground.cluster, env=ground.libpq) for name in FILLED)


def _delete(ground: Testbed, name: str) -> Measured:
    path = ground.folder / f"delete-{name}.sql"
    script = OWN / ("delete_master.sql" if name == MASTER else "delete_shard.sql")
    parts = ((SQL / "roll.sql").read_text(encoding="utf-8"), script.read_text(encoding="utf-8"))
    path.write_text(settings(ground.size, name) + "".join(parts), encoding="utf-8")
    words = (ground.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-f", path, "-d", name)
    return measure(words, ground.cluster, env=ground.libpq)
