"""Rewrites the archiver's modules as they are imported, so that each guard can be switched off while they run."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Mapping, Sequence
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from tests.mutants.switch import weaker

ROOT = Path(__file__).parents[2]
# Deleting, loading, settling and locking; of the other folders only the refusals.
GUARDED = ("archiver.",)
COMPARED = (
    "archiver.delete.",
    "archiver.load.",
    "archiver.reshard.",
    "archiver.runs.settle",
    "archiver.runs.restore",
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
        return compile(instrumented(path.read_text(encoding="utf-8"), fullname), str(path), "exec", dont_inherit=True)


def install() -> None:
    """Rewrite every guarded module that is imported from now on."""
    sys.meta_path.insert(0, Finder())


def instrumented(source: str, module: str) -> ast.Module:
    """Return a module's tree with a switch at each guard."""
    tree = ast.parse(source)
    _Guards(module, compares=module.startswith(COMPARED), texts=_texts(tree)).visit(tree)
    first = next((i for i, node in enumerate(tree.body) if not _is_preamble(node)), len(tree.body))
    tree.body.insert(first, ast.parse("from tests.mutants import switch as _switch").body[0])
    return ast.fix_missing_locations(tree)


def _is_preamble(node: ast.stmt) -> bool:
    """Return whether an import must come after this: the docstring, and what comes from the future."""
    return isinstance(node, ast.Expr) or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


def _texts(tree: ast.Module) -> Mapping[str, int]:
    """Return the module's constants that hold statements with a lock or an inequality, with their lines."""
    return {
        name.id: node.lineno
        for node in tree.body
        if isinstance(node, ast.Assign) and _is_guarding_text(node.value)
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }


def _is_guarding_text(node: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and weaker(part.value) != part.value
        for part in ast.walk(node)
    )


class _Guards(ast.NodeTransformer):
    """Puts the switches in: at refusals everywhere, at comparisons and locks where rows may get lost."""

    def __init__(self, module: str, *, compares: bool, texts: Mapping[str, int]) -> None:
        self._file = module.replace(".", "/") + ".py"
        self._compares = compares
        self._texts = texts
        self._inside = 0  # how many functions deep: at a module's level nothing is switched

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._inside += 1
        node.body = [self.visit(each) for each in node.body]
        self._inside -= 1
        return node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        refusal = isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func).endswith("RefusedError")
        if not (self._inside and refusal):
            return node
        return ast.copy_location(ast.If(test=self._call("refuses", node), body=[node], orelse=[]), node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        return self._call("compared", node, node) if self._inside and self._compares else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if self._inside and self._compares and _is_guarding_text(node):
            return self._call("asked", node, node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if self._inside and self._compares and isinstance(node.ctx, ast.Load) and node.id in self._texts:
            return self._call("asked", node, node, line=self._texts[node.id])
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Leave f-strings alone: they are words for people, and a call can't stand in for their parts."""
        return node

    def _call(self, function: str, at: ast.AST, *arguments: ast.expr, line: int = 0) -> ast.Call:
        site = f"{self._file}:{line or getattr(at, 'lineno', 0)}:{getattr(at, 'col_offset', 0)}"
        name = ast.Attribute(value=ast.Name("_switch", ast.Load()), attr=function, ctx=ast.Load())
        return ast.copy_location(ast.Call(func=name, args=[ast.Constant(site), *arguments], keywords=[]), at)
