"""The only module that runs PostgreSQL's programs for taking and verifying backups."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from archiver.postgres.session import connect, conninfo
from errors import CutoverError, UsageError
from inventory.model import Backups, Way

LINES = 3  # last lines of a program's error output to report
TABLESPACES = "tablespaces"  # the folder of a base backup that has them, beside its data directory
PLACES = """
SELECT oid, pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) LIKE '/%' ORDER BY oid
"""


@dataclass(frozen=True)
class Programs:
    """The programs, the server they connect to, and a lock that they hold as long as they run."""

    backups: Backups
    connection: Mapping[str, str]
    lock: int  # file descriptor

    @property
    def server(self) -> str:
        """The option that names the server."""
        return f"--dbname={conninfo(self.connection)}"

    def run(self, program: str, *words: str) -> None:
        """Run a program; raise CutoverError with its last error lines if it fails, UsageError if it can't be run."""
        path = str(Path(self.backups.programs) / program) if self.backups.programs else program
        password = {"PGPASSWORD": self.connection["password"]} if "password" in self.connection else {}
        try:
            done = subprocess.run(
                [path, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C", **password},
                pass_fds=(self.lock,),  # keeps others from starting while it outlives this process
                text=True,
                errors="replace",
            )
        except OSError as error:
            hint = "backups/programs in the inventory names their folder."
            raise UsageError(f"Running {path} failed: {error.strerror}.", hint=hint) from error
        if done.returncode:
            cause = " / ".join(done.stderr.strip().splitlines()[-LINES:]) or "no error output"
            raise CutoverError(f"{program} failed with exit code {done.returncode}: {cause}.")


def take_base(programs: Programs, target: Path) -> None:
    """Copy the complete server, file by file, with the WAL that it needs, and its tablespaces beside it."""
    own = target.with_name(TABLESPACES)
    programs.run(
        "pg_basebackup",
        programs.server,
        f"--pgdata={target}",
        "--format=plain",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--manifest-checksums=SHA256",
        "--no-password",
        *(
            f"--tablespace-mapping={_escaped(location)}={_escaped(str(own / oid))}"
            for oid, location in _tablespaces(programs.connection)
        ),
    )
    for link in (target / "pg_tblspc").iterdir():
        if link.is_symlink():  # it names this folder, which the backup leaves when it gets its name
            link.unlink()
            link.symlink_to(Path("..", "..", TABLESPACES, link.name))


def _escaped(path: str) -> str:
    return path.replace("=", r"\=")


def _tablespaces(connection: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Return the server's own tablespaces: their numbers, and the folders they are in."""
    with closing(connect(connection, name="cutover backup")) as session:
        return [(str(oid), str(location)) for oid, location in session.rows(PLACES, doing="asking for tablespaces")]


def verify_base(programs: Programs, target: Path) -> None:
    """Verify that every file is what the server sent, and the WAL is complete."""
    programs.run("pg_verifybackup", "--exit-on-error", str(target))


def take_dump(programs: Programs, target: Path) -> None:
    """Dump one database, table by table, from one snapshot."""
    jobs = f"--jobs={programs.backups.jobs}"
    programs.run("pg_dump", programs.server, "--format=directory", f"--file={target}", jobs, "--no-password")


def verify_dump(programs: Programs, target: Path) -> None:
    """Verify that the table of contents and every table's rows can be read completely."""
    programs.run("pg_restore", "--list", str(target))
    programs.run("pg_restore", "--format=directory", f"--file={os.devnull}", str(target))


TAKE: Mapping[Way, Callable[[Programs, Path], None]] = {Way.BASE: take_base, Way.DUMP: take_dump}
VERIFY: Mapping[Way, Callable[[Programs, Path], None]] = {Way.BASE: verify_base, Way.DUMP: verify_dump}
