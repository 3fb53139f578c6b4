"""The lab as a whole: up, status, down. Its state lies under one folder, its home."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from errors import CutoverError, UsageError
from rehearsal import blueprint, endpoints, lock, processes, shared_memory, status
from rehearsal.build import build
from rehearsal.endpoints import Endpoints
from rehearsal.layout import Layout
from rehearsal.postgres_programs import ELSEWHERE
from rehearsal.processes import MARK
from rehearsal.seed_plan import FEWEST
from rehearsal.status import Status

DEFAULT_SCHOOLS = 36
FEWEST_SCHOOLS = FEWEST  # the seed's cases need as many


def up(home: Path, *, schools: int = DEFAULT_SCHOOLS) -> Endpoints:
    """Starts the lab; harmless where it runs, and where it is half dead it is taken down first.

    What stays of a start that failed is its folder with the logs; the next `up` or `down` removes it.
    """
    home = home.resolve()
    _refuse_from_inside(home)
    with lock.held(home):
        if not status.of(home).healthy:
            _clear(home)
            _build_or_end(home, schools)
        return endpoints.of(blueprint.load(home))


def look(home: Path) -> Status:
    """What of the lab runs."""
    return status.of(home.resolve())


def known_endpoints(home: Path) -> Endpoints:
    """The endpoints of a running lab; UsageError where none runs whole."""
    found = look(home)
    if not found.healthy:
        what = f"{', '.join(found.down)} of the rehearsal in {home} down" if found.down else f"no rehearsal in {home}"
        raise UsageError(f"Reading the endpoints failed: {what}.", hint="inv rehearsal.up")
    return endpoints.of(blueprint.load(home.resolve()))


def down(home: Path) -> None:
    """Ends every process of the lab and removes its folder; harmless where there is none."""
    home = home.resolve()
    _refuse_from_inside(home)
    with lock.held(home):
        _clear(home)
        shutil.rmtree(home)


def _build_or_end(home: Path, schools: int) -> None:
    try:
        build(home, schools)
    except BaseException:
        processes.stop_all(home, _postgres_folder(home))
        raise


def _clear(home: Path) -> None:
    """Ends every process and removes every file but the lock, which we hold."""
    postgres = _postgres_folder(home)
    processes.stop_all(home, postgres)
    _remove_sockets(home)
    for data in postgres.glob("*/data"):
        shared_memory.release(data)
    shutil.rmtree(postgres, ignore_errors=True)
    for path in home.iterdir():
        if path == Layout(home).lock:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _postgres_folder(home: Path) -> Path:
    """Where PostgreSQL's files are: here, or where the lab has noted."""
    layout = Layout(home)
    try:
        elsewhere = Path(layout.postgres_elsewhere.read_text(encoding="utf-8"))
    except OSError:
        return layout.postgres
    return elsewhere if elsewhere.name.startswith(ELSEWHERE) else layout.postgres


def _remove_sockets(home: Path) -> None:
    try:
        sockets = blueprint.load(home).store.sockets()
    except CutoverError:  # nothing was started yet
        return
    for socket in sockets:
        socket.unlink(missing_ok=True)


def _refuse_from_inside(home: Path) -> None:
    if os.environ.get(MARK) == str(home):
        raise UsageError(f"{home} can't be started or taken down from one of its own hosts.")
