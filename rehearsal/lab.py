"""The lab as a whole: up, status, down. All its state is in one folder, its home."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from errors import CutoverError, UsageError
from rehearsal import blueprint, endpoints, lock, processes, shared_memory, status
from rehearsal.build import Progress, build
from rehearsal.endpoints import Endpoints
from rehearsal.layout import MARK, Layout
from rehearsal.postgres_programs import ELSEWHERE
from rehearsal.seed_plan import FEWEST
from rehearsal.status import Status

DEFAULT_SCHOOLS = 36
FEWEST_SCHOOLS = FEWEST  # the seed's cases need that many


def up(home: Path, *, schools: int = DEFAULT_SCHOOLS, on_progress: Progress = lambda line: None) -> Endpoints:
    """Start the lab; harmless if it is running. A lab that is partly down is taken down first.

    `on_progress` receives a line for each part of the work as it begins. A start that fails leaves the folder with its
    logs; the next `up` or `down` removes it.
    """
    home = home.resolve()
    _refuse_from_inside(home)
    with lock.locked(home):
        if not status.of(home).healthy:
            _clear(home)
            _build_or_end(home, schools, on_progress)
        return endpoints.of(blueprint.load(home))


def look(home: Path) -> Status:
    """Return the state of the lab's parts."""
    return status.of(home.resolve())


def known_endpoints(home: Path) -> Endpoints:
    """Return the endpoints of a running lab; UsageError if none runs completely."""
    state = look(home)
    if not state.healthy:
        what = f"{', '.join(state.down)} of the rehearsal in {home} down" if state.down else f"no rehearsal in {home}"
        raise UsageError(f"Reading the endpoints failed: {what}.", hint="inv rehearsal.up")
    return endpoints.of(blueprint.load(home.resolve()))


def down(home: Path) -> None:
    """End every process of the lab and remove its folder; harmless if there is none."""
    home = home.resolve()
    _refuse_from_inside(home)
    with lock.locked(home):
        _clear(home)
        shutil.rmtree(home)


def _build_or_end(home: Path, schools: int, on_progress: Progress) -> None:
    try:
        build(home, schools, on_progress)
    except BaseException:
        processes.stop_all(home, _postgres_folder(home))
        raise


def _clear(home: Path) -> None:
    """End every process and remove every file except the lock, which we hold."""
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
    """Return the folder of PostgreSQL's files: below home, or where the lab has recorded it."""
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
