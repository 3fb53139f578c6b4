"""Allowed imports: the layers of the packages, and one importer in a package for each third-party library."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("errors", "formatting", "inventory", "archiver", "platforms", "rehearsal", "runbooks", "tasks", "bench")
# tasks → runbooks → { runbooks.engine · platforms → archiver · rehearsal } → inventory → { formatting · errors }
MAY_IMPORT = {
    "errors": set[str](),
    "formatting": set[str](),
    "inventory": {"formatting", "errors"},
    "archiver": {"inventory", "formatting", "errors"},
    "platforms": {"archiver", "inventory", "formatting", "errors"},
    "rehearsal": {"archiver", "inventory", "formatting", "errors"},
    "runbooks.engine": {"inventory", "formatting", "errors"},
    "runbooks": {"runbooks.engine", "platforms", "archiver", "rehearsal", "inventory", "formatting", "errors"},
    "tasks": {"runbooks"},
    "bench": {"archiver", "rehearsal", "inventory", "formatting", "errors"},
}
# The floors of the folders in a room: a file imports its own folder, and folders below.
FLOORS = {
    "archiver": (
        {"catalog"},
        {"postgres"},
        {"completeness", "format", "vacuum"},
        {"store", "verify"},
        {"records"},
        {"extract", "mapping"},
        {"load"},
        {"checks", "delete"},
        {"runs"},
        {"estimate", "reshard"},
        {"kinds"},
    ),
    "runbooks": (
        {"engine"},
        {"cli", "night.report"},
        {"cli.text", "night"},
        {"archives"},
        {"steps"},
        {"preflight", "upkeep"},
        {""},  # the tasks: cutover.py, archive.py …
    ),
    "runbooks.engine": (
        {"model"},
        {"live", "reporting"},
        {"run"},
    ),
}
MOST_NAMES = {"archiver": 18, "runbooks/engine": 6}
EVERYWHERE = {"invoke"}  # the procedures are made of its tasks
TOGETHER = {
    "paramiko": "fabric",
    "botocore": "boto3",
    "mypy_boto3_s3": "boto3",
    "kombu": "celery",
}  # two names of one door


@dataclass(frozen=True)
class Import:
    """One module's import of another."""

    file: Path
    module: str
    target: str

    @property
    def source(self) -> str:
        return floor_of(self.module)

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)} imports {self.target}"


def floor_of(module: str) -> str:
    """The floor of a module of ours."""
    return "runbooks.engine" if (module + ".").startswith("runbooks.engine.") else module.split(".")[0]


def imports() -> Iterator[Import]:
    """Every import in every room, also those inside functions."""
    files = [path for room in ROOMS for path in (*ROOT.glob(f"{room}.py"), *ROOT.glob(f"{room}/**/*.py"))]
    for file in files:
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (Import(file, module, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: a relative import"
                yield from (Import(file, module, target) for target in _targets(node))


def _targets(node: ast.ImportFrom) -> list[str]:
    """`from runbooks.night import run` imports runbooks.night.run."""
    module = node.module or ""
    names = [f"{module}.{name.name}" for name in node.names]
    return [name if _is_module(name) else module for name in names]


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


EVERY = list(imports())
OURS = [found for found in EVERY if found.target.split(".")[0] in ROOMS]


def test_the_walk_finds_every_import() -> None:
    assert len(OURS) > 100
    assert {found.source for found in OURS} >= {"runbooks", "runbooks.engine", "archiver", "inventory", "tasks"}


def test_nothing_imports_upward_or_across() -> None:
    breaches = [
        str(found)
        for found in OURS
        if (target := floor_of(found.target)) != found.source and target not in MAY_IMPORT[found.source]
    ]
    assert breaches == []


def folder_of(module: str, room: str) -> str:
    """A module's folder below a room, `""` for the room's own files: `cli.text`; the engine counts as one."""
    path = ROOT.joinpath(*module.split("."))
    below = (path if path.is_dir() else path.parent).relative_to(ROOT.joinpath(*room.split("."))).parts
    return "engine" if room == "runbooks" and below[:1] == ("engine",) else ".".join(below)


@pytest.mark.parametrize("room", FLOORS)
def test_no_folder_imports_a_folder_of_its_own_layer_or_above(room: str) -> None:
    floors = {folder: number for number, folders in enumerate(FLOORS[room]) for folder in folders}
    inside = [
        found for found in OURS if all(f"{name}.".startswith(f"{room}.") for name in (found.module, found.target))
    ]
    pairs = [(found, folder_of(found.module, room), folder_of(found.target, room)) for found in inside]

    assert {folder for _, *folders in pairs for folder in folders} == set(floors), "the table of floors is the folders"
    assert [str(found) for found, a, b in pairs if a != b and floors[b] >= floors[a]] == []


def test_no_modules_import_each_other_in_a_ring() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for found in OURS:
        if found.module != found.target:
            graph[found.module].add(found.target)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the ring


@pytest.mark.parametrize("folder", MOST_NAMES)
def test_a_folder_is_read_at_a_glance(folder: str) -> None:
    names = [path.name for path in ROOT.joinpath(folder).iterdir() if not path.name.startswith("__")]

    assert 0 < len(names) <= MOST_NAMES[folder]


def test_a_checklist_imports_no_other_checklist() -> None:
    steps = {found.module for found in OURS if found.module.startswith(("runbooks.steps.", "runbooks.preflight."))}
    checklists = {found.module for found in OURS if found.target in steps} - steps
    assert checklists, "no module is made of steps"
    # The front door, the lab's task that runs the night, and the check of an inventory, which has a night's steps.
    allowed = {"tasks", "runbooks.rehearsal", "runbooks.inventory"}
    breaches = [str(found) for found in OURS if found.target in checklists and found.module not in allowed]
    assert breaches == []


@pytest.mark.parametrize("room", ["runbooks", "archiver", "platforms", "rehearsal", "inventory", "bench"])
def test_a_third_party_library_has_one_importer_in_a_package(room: str) -> None:
    doors: dict[str, set[str]] = defaultdict(set)
    for found in EVERY:
        library = found.target.split(".")[0]
        outside = library not in sys.stdlib_module_names and library not in (*ROOMS, *EVERYWHERE)
        if outside and found.module.split(".")[0] == room:
            doors[TOGETHER.get(library, library)].add(str(found.file.relative_to(ROOT)))
    assert {library: sorted(files) for library, files in doors.items() if len(files) > 1} == {}


def test_the_engine_never_imports_invoke_and_only_its_adapters_import_fabric_and_rich() -> None:
    inside = {found.target.split(".")[0]: found.file.name for found in EVERY if found.source == "runbooks.engine"}
    assert "invoke" not in inside
    assert (inside["fabric"], inside["rich"]) == ("ssh.py", "console.py")
