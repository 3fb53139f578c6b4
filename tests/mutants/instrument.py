"""Rewrites the archiver's modules as they are imported, so that each guard can be switched off while they run."""

from __future__ import annotations

import ast
import hashlib
import importlib.abc
import importlib.machinery
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from tests.mutants.switch import Off, locks_less, weaker

ROOT = Path(__file__).parents[2]
# Deleting, loading, settling and locking; of the other folders only the refusals and the locks.
GUARDED = ("archiver.",)
COMPARED = (
    "archiver.delete.",
    "archiver.load.",
    "archiver.reshard.",
    "archiver.runs.settle",
    "archiver.runs.restore",
    "archiver.runs.pipeline",
    "archiver.runs.purge",
    "archiver.runs.monthly",
    "archiver.postgres.account",
    "archiver.postgres.locks",
    "archiver.postgres.ownership",
    "archiver.postgres.row_versions",
    "archiver.records.open_markers",
    "archiver.store.standing",
    "archiver.vacuum.feeds",
    "archiver.vacuum.strays",
)
# How the names end that a refusal is raised by: classes, functions that make one, and variables.
REFUSALS = ("RefusedError", "DamagedError", "refusal", "_lost", "_damaged", "wrong_shard_error")
WAYS = {"refuses": (Off.NEVER,), "compared": (Off.FALSE, Off.TRUE), "asked": (Off.WEAKER,)}


@dataclass(frozen=True)
class Place:
    """A guard's place in today's code; `code` is a digest of its function, and of the constant that it reads."""

    file: str
    line: int
    function: str
    text: str
    code: str
    ways: tuple[Off, ...]


class Finder(importlib.abc.MetaPathFinder):
    """Finds the guarded modules, and has them loaded with switches."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the module's place, or None for a module that is not guarded."""
        file = ROOT / (fullname.replace(".", "/") + ".py")
        if not fullname.startswith(GUARDED) or not file.exists():
            return None
        return spec_from_file_location(fullname, file, loader=_Loader(fullname, str(file)))


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        path = Path(self.get_filename(fullname))
        tree, _ = instrumented(path.read_text(encoding="utf-8"), fullname)
        return compile(tree, str(path), "exec", dont_inherit=True)


def install() -> None:
    """Rewrite every guarded module that is imported from now on."""
    sys.meta_path.insert(0, Finder())


def places() -> dict[str, Place]:
    """Return the place of every guard of today's code, by the word that its switch is asked with."""
    every: dict[str, Place] = {}
    for path in sorted(ROOT.glob("archiver/**/*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        every |= instrumented(path.read_text(encoding="utf-8"), module)[1]
    return every


def instrumented(source: str, module: str) -> tuple[ast.Module, Mapping[str, Place]]:
    """Return a module's tree with a switch at each guard, and the guards' places."""
    tree = ast.parse(source)
    guards = _Guards(module, compares=module.startswith(COMPARED), constants=_constants(tree))
    guards.visit(tree)
    first = next((i for i, node in enumerate(tree.body) if not _is_preamble(node)), len(tree.body))
    tree.body.insert(first, ast.parse("from tests.mutants import switch as _switch").body[0])
    return ast.fix_missing_locations(tree), guards.places


def _is_preamble(node: ast.stmt) -> bool:
    """Return whether an import must come after this: the docstring, and what comes from the future."""
    return isinstance(node, ast.Expr) or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def _constants(tree: ast.Module) -> Mapping[str, ast.expr]:
    """Return the values of the module's constants that hold statements, by name."""
    return {
        name.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }


class _Guards(ast.NodeTransformer):
    """Puts the switches in: at refusals and locks everywhere, at comparisons where rows may get lost."""

    def __init__(self, module: str, *, compares: bool, constants: Mapping[str, ast.expr]) -> None:
        self.places: dict[str, Place] = {}
        self._file = module.replace(".", "/") + ".py"
        self._weaker = weaker if compares else locks_less
        self._compares = compares
        self._constants = constants
        self._inside: list[str] = []  # the classes and functions around
        self._code = ""  # of the outermost function; empty at a module's level, where nothing is switched
        self._counts: Counter[str] = Counter()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outermost = not self._code
        self._code = self._code or ast.unparse(node)
        self._inside.append(node.name)
        node.body = [self.visit(each) for each in node.body]
        self._inside.pop()
        self._code = "" if outermost else self._code
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        refusal = raised is not None and ast.unparse(raised).endswith(REFUSALS)
        call = self._call("refuses", node) if self._code and refusal else None
        self.generic_visit(node)
        return ast.copy_location(ast.If(test=call, body=[node], orelse=[]), node) if call else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        call = self._call("compared", node) if self._code and self._compares else None
        self.generic_visit(node)
        if not call:
            return node
        call.args.append(node)
        return call

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """Leave docstrings alone."""
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self._asked(node, node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = self._constants.get(node.id)
        return self._asked(node, value) if value and isinstance(node.ctx, ast.Load) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Leave f-strings alone: they are words for people, and a call can't stand in for their parts."""
        return node

    def _asked(self, node: ast.expr, value: ast.expr) -> ast.AST:
        parts = [each.value for each in ast.walk(value) if isinstance(each, ast.Constant)]
        if not self._code or not any(isinstance(text, str) and self._weaker(text) != text for text in parts):
            return node
        call = self._call("asked", node, ast.unparse(value))
        call.args += [node, ast.Constant(self._weaker is weaker)]
        return call

    def _call(self, function: str, at: ast.stmt | ast.expr, reads: str = "") -> ast.Call:
        """Return the call of a switch, and note the guard's place before anything inside it is rewritten."""
        text = " ".join(ast.unparse(at).split())
        named = f"{self._file} {'.'.join(self._inside)}: {text}"
        self._counts[named] += 1
        site = f"{named} [{self._counts[named]}]"
        code = hashlib.sha256(f"{self._code}{reads}".encode()).hexdigest()[:12]
        self.places[site] = Place(self._file, at.lineno, ".".join(self._inside), text, code, WAYS[function])
        name = ast.Attribute(value=ast.Name("_switch", ast.Load()), attr=function, ctx=ast.Load())
        return ast.copy_location(ast.Call(func=name, args=[ast.Constant(site)], keywords=[]), at)
