"""The list of all tasks, kept beside the byte code: help, completion and a wrong word import none of their modules."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from runbooks.cli.own_task import CommandWord, OwnTask, own_task

ROOT = Path(__file__).parents[2]
PACKAGES = ("archiver", "inventory", "platforms", "rehearsal", "runbooks")

Lines = Sequence[Mapping[str, Any]]  # a task each


def listed(declared: Callable[[], Iterable[Collection | OwnTask]]) -> tuple[Collection | OwnTask, ...]:
    """Return all collections with a task for each that is declared, which imports its module when it is run.

    A task whose name has no area is returned as it is.

    `declared` imports them all, and returns their collections. It is called only if a source has changed since.
    """
    path = Path(cache_from_source(__file__)).with_name("tasks.json")
    stamp = _stamp()
    lines = _read(path, stamp)
    if lines is None:
        lines = [_line(task) for part in declared() for task in tasks_below(part)]
        _write(path, stamp, lines)
    areas: dict[str, Collection] = {}
    alone: list[OwnTask] = []
    for line in lines:
        area, _, name = line["name"].rpartition(".")
        if area:
            areas.setdefault(area, Collection(area)).add_task(_listed(line), name=name)
        else:
            alone.append(_listed(line))
    return (*areas.values(), *alone)


def tasks_below(part: Collection | OwnTask) -> Iterator[OwnTask]:
    """Yield the tasks of a collection and of those in it; of a task, itself."""
    if isinstance(part, OwnTask):
        yield part
        return
    yield from part.tasks.values()
    for inner in part.collections.values():
        yield from tasks_below(inner)


def declared_task(module: str, full_name: str) -> OwnTask:
    """Import the module that declares a task, and return the task."""
    names = vars(import_module(module))
    own = [value for value in names.values() if isinstance(value, OwnTask)]
    of_areas = (task for area in names.get("areas", ()) for task in tasks_below(area))
    return next(task for task in (*own, *of_areas) if task.full_name == full_name)


def _listed(line: Mapping[str, Any]) -> OwnTask:
    module, name = line["module"], line["name"]

    def run(context: Context, **values: str | bool) -> None:
        declared_task(module, name)(context, **values)

    return own_task(OwnTask, name, module, line["help"], [CommandWord(**word) for word in line["words"]], run)


def _line(task: OwnTask) -> Mapping[str, Any]:
    words = [asdict(word) for word in task.words]
    return {"name": task.full_name, "module": task.module, "help": task.__doc__, "words": words}


def _stamp() -> str:
    """Return a digest of the sources' names, times and sizes, by which Python, too, tells that byte code is old."""
    digest = hashlib.sha256()
    for folder in (ROOT, *(ROOT / package for package in PACKAGES)):
        digest.update("".join(sorted(_seen(str(folder), below=folder != ROOT))).encode())
    return digest.hexdigest()


def _seen(folder: str, *, below: bool) -> Iterator[str]:
    """Yield a line for each module in a folder, and in those below it; the quickest way, as every start asks."""
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            status = entry.stat()
            yield f"{entry.path.removeprefix(str(ROOT))} {status.st_mtime_ns} {status.st_size}\n"
        elif below and entry.is_dir():
            yield from _seen(entry.path, below=below)


def _read(path: Path, stamp: str) -> Lines | None:
    """Return the lines that were kept; None where there are none of these sources."""
    try:
        written = json.loads(path.read_bytes())
        return written["tasks"] if written["stamp"] == stamp else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _write(path: Path, stamp: str, lines: Lines) -> None:
    """Keep the lines for the next start; where they can't be kept, they are made each time."""
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        new = path.with_suffix(f".{hash(stamp)}")
        new.write_text(json.dumps({"stamp": stamp, "tasks": lines}), encoding="utf-8")
        new.replace(path)
