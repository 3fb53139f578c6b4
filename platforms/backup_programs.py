"""PostgreSQL's own programs that take a backup and verify it, and the only place that runs them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archiver.postgres.session import conninfo
from errors import CutoverError, UsageError
from inventory.model import Backups, Way

LINES = 3  # of a program's complaint, the last


@dataclass(frozen=True)
class Programs:
    """The programs, the server they are run at, and a lock that they hold as long as they live."""

    backups: Backups
    connection: Mapping[str, str]
    lock: int  # a descriptor

    @property
    def server(self) -> str:
        """How a program is told the server."""
        return f"--dbname={conninfo(self.connection)}"

    def run(self, program: str, *words: str) -> None:
        """Runs one to its end; CutoverError with its last words where it fails, UsageError where there is none."""
        path = str(Path(self.backups.programs) / program) if self.backups.programs else program
        password = {"PGPASSWORD": self.connection["password"]} if "password" in self.connection else {}
        try:
            done = subprocess.run(
                [path, *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C", **password},
                pass_fds=(self.lock,),  # so that nobody begins another while it outlives us
                text=True,
                errors="replace",
            )
        except OSError as error:
            hint = "backups/programs in the inventory names their folder."
            raise UsageError(f"Running {path} failed: {error.strerror}.", hint=hint) from error
        if done.returncode:
            cause = " / ".join(done.stderr.strip().splitlines()[-LINES:]) or "it said nothing"
            raise CutoverError(f"{program} failed with exit code {done.returncode}: {cause}.")


def take_base(programs: Programs, target: Path) -> None:
    """The whole server, file by file, with the WAL that it needs."""
    programs.run(
        "pg_basebackup",
        programs.server,
        f"--pgdata={target}",
        "--format=plain",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--manifest-checksums=SHA256",
        "--no-password",
    )


def verify_base(programs: Programs, target: Path) -> None:
    """Every file is what the server sent, and the WAL is whole."""
    programs.run("pg_verifybackup", "--exit-on-error", str(target))


def take_dump(programs: Programs, target: Path) -> None:
    """One database, table by table, of one moment."""
    jobs = f"--jobs={programs.backups.jobs}"
    programs.run("pg_dump", programs.server, "--format=directory", f"--file={target}", jobs, "--no-password")


def verify_dump(programs: Programs, target: Path) -> None:
    """Its table of contents can be read, and every table's rows to their end."""
    programs.run("pg_restore", "--list", str(target))
    programs.run("pg_restore", "--format=directory", f"--file={os.devnull}", str(target))


TAKE: Mapping[Way, Callable[[Programs, Path], None]] = {Way.BASE: take_base, Way.DUMP: take_dump}
VERIFY: Mapping[Way, Callable[[Programs, Path], None]] = {Way.BASE: verify_base, Way.DUMP: verify_dump}
