"""Loads the model from YAML files: the only importer of PyYAML."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from errors import Problems, UsageError
from formatting import first_few
from inventory.catalog import Catalog
from inventory.check import depth_mistakes, environment_mistakes
from inventory.files import read_text
from inventory.migrations import Changes, Migration, chain_mistakes, database_mistakes
from inventory.model import Environment, Overlay
from inventory.parse import Position, parse, short

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
NEW = "inv inventory.new NAME writes one that loads."


if TYPE_CHECKING:
    from yaml import SafeLoader
else:  # the loader in C, if PyYAML was built with it: every command reads the catalog
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(SafeLoader):
    """A SafeLoader that refuses a key written twice; YAML would silently keep the last one."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    _refuse_keys(loader, node)
    return loader.construct_mapping(node, deep=True)


def _refuse_keys(loader: _Loader, node: yaml.MappingNode) -> None:
    """Raise ConstructorError for a key that is no word, as in a template, or is written twice; `<<` merges."""
    seen: set[object] = set()
    for key_node, value_node in node.value:
        if key_node.tag == _MERGE:
            merged = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for each in merged:
                if isinstance(each, yaml.MappingNode):
                    _refuse_keys(loader, each)
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            wrong = "expected a word as the key, got a mapping or a list (a template that was not filled in?)"
            raise yaml.constructor.ConstructorError(None, None, wrong, key_node.start_mark)
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} is written twice", key_node.start_mark)
        seen.add(key)


class _Unquoted(str):
    """A word without quotation marks of which YAML makes another number than people do: 021, 09, 1:30, 0x15, 2_1."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{self} (a text needs quotation marks)"


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    text = str(loader.construct_scalar(node))
    return _Unquoted(text) if not node.style and _LIKE_A_NUMBER.fullmatch(text) else text


def _whole_number(_: _Loader, node: yaml.ScalarNode) -> int | str:
    return int(node.value) if _DECIMAL.fullmatch(node.value) else _Unquoted(node.value)


_MERGE = "tag:yaml.org,2002:merge"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_LIKE_A_NUMBER = re.compile(r"[-+]?0o?[0-9_]+", re.ASCII)  # what YAML 1.1 takes for text
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# Dates stay text, so that 2014-02-30 is a mistake with a path and not a ValueError.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:value", _text)  # an equals sign alone


def names() -> tuple[str, ...]:
    """Return the names of the environments that have a file."""
    stems = (path.stem for path in FOLDER.glob("*.yaml"))
    return tuple(sorted(stem for stem in stems if stem != "example" and not is_catalog(stem)))


def is_catalog(stem: str) -> bool:
    """True if a file of that name, without .yaml, is a catalog: `catalog`, or `shop-catalog`."""
    return stem == "catalog" or stem.endswith("-catalog")


def load(name: str) -> Environment:
    """Return the environment of that name, with its overlay applied if there is one.

    Raises UsageError for an unknown name, Problems with every mistake in the file.
    """
    if name not in names():
        raise UsageError(f"No environment {name!r}: inventory/ has {', '.join(names())}.")
    environment = load_file(FOLDER / f"{name}.yaml")
    if environment.name != name:
        raise UsageError(
            f"{name}.yaml: environment: expected {name}, as the file is called, got {environment.name}.",
            hint="Each environment has journals, locks and archives of its own, by its name.",
        )
    return environment


def load_file(path: Path) -> Environment:
    """Return the environment written in a file, which has its name; Problems with every mistake at once."""
    data = {"environment": path.stem, **_inventory_in(path)}
    environment = _environment(data, path)
    over = overlay_path(environment.overlay)
    if over is None or not over.exists():
        return environment
    return _environment(_laid_over(data, _read(over)), over)


def _inventory_in(path: Path) -> dict[Any, Any]:
    """Return the inventory in a file; UsageError for a file without a single key of one, such as another tool's."""
    data = _read(path)
    if not data.keys() & {field.name for field in fields(Environment)}:
        keys = first_few([str(key) for key in data])
        raise UsageError(f"{path.name} is no inventory: it has no key of one, but {keys}.", hint=NEW)
    return data


def load_catalog(name: str) -> Catalog:
    """Return the catalog of that file name, next to the inventory; Problems with every mistake at once."""
    return _catalog(FOLDER / name, read_text(FOLDER / name))


@lru_cache(maxsize=4)
def _catalog(path: Path, text: str) -> Catalog:
    """Return the catalog that a text says, parsed once: a command asks for it several times."""
    mistakes: list[str] = []
    catalog = parse(Catalog, _parsed(path, text), Position("", mistakes))
    if mistakes:
        raise Problems(f"The catalog {path.name} has mistakes:", _with_lines(text, mistakes))
    assert isinstance(catalog, Catalog)
    return catalog


def with_catalog_lines(name: str, mistakes: Iterable[str]) -> list[str]:
    """Return mistakes of a catalog, each with its line where it begins with a path of the file."""
    return _with_lines(read_text(FOLDER / name), mistakes)


def load_migrations(folder: str) -> tuple[Migration, ...]:
    """Return the migrations in a folder next to the inventory; none without the folder, Problems with all mistakes."""
    mistakes: list[str] = []
    paths = [path for path in sorted((FOLDER / folder).glob("*.yaml")) if path.stem != "example"]
    migrations = [_changes(Migration, path, mistakes) for path in paths]
    _refuse_migrations(mistakes or chain_mistakes(migrations))
    return tuple(migrations)


def load_changes(path: str) -> Changes:
    """Return the changes in an operator's file: a migration without fingerprints; Problems with every mistake."""
    mistakes: list[str] = []
    changes: Changes = _changes(Changes, Path(path).expanduser(), mistakes)
    _refuse_migrations(mistakes or database_mistakes(changes))
    return changes


def overlay_path(overlay: Overlay | None) -> Path | None:
    """Return the path of the overlay's file, whether it exists or not."""
    if overlay is None:
        return None
    home = Path(os.environ.get(overlay.variable) or overlay.home)
    return ROOT / home / overlay.file


def refuse_if_down(environment: Environment) -> None:
    """Raise UsageError if the environment must be started first and is not up."""
    path = overlay_path(environment.overlay)
    if path is not None and not path.exists():
        raise UsageError(f"The {environment.name} is not up.", hint=f"inv {environment.name}.up starts it.")


def _changes(kind: type[Any], path: Path, mistakes: list[str]) -> Any:
    changes = parse(kind, _read(path), Position(path.name, mistakes))
    return replace(changes, name=path.name) if changes else None


def _refuse_migrations(mistakes: list[str]) -> None:
    if mistakes:
        hint = "inventory/migrations/example.yaml explains every key."
        raise Problems("The migrations have mistakes:", mistakes, hint=hint)


def _environment(data: dict[Any, Any], path: Path) -> Environment:
    mistakes: list[str] = []
    environment = parse(Environment, data, Position("", mistakes))
    mistakes = mistakes or [*environment_mistakes(environment), *depth_mistakes(environment, _depths(environment))]
    if mistakes:
        hint = "inventory/example.yaml explains every key."
        raise Problems(f"The inventory {path.name} has mistakes:", _with_lines(read_text(path), mistakes), hint=hint)
    assert isinstance(environment, Environment)
    return environment


def _depths(environment: Environment) -> Collection[str] | None:
    """Return the depths of an environment's catalog; None if it can't be read, which whatever needs it then says."""
    try:
        return load_catalog(environment.catalog).depths
    except UsageError:
        return None


def with_lines(environment: Environment, mistakes: Iterable[str]) -> list[str]:
    """Return mistakes in an environment's file, each with its line; as they are if the environment has no file."""
    path = FOLDER / f"{environment.name}.yaml"
    return _with_lines(path.read_text(encoding="utf-8"), mistakes) if path.exists() else list(mistakes)


def _with_lines(text: str, mistakes: Iterable[str]) -> list[str]:
    """Return the mistakes, each with the line on which its path ends, or the last part of it that the file has.

    A mistake that begins with no path of the file stays as it is.
    """
    root = yaml.compose(text, Loader=SafeLoader)
    assert root is not None  # it is a mapping by now
    paths = [(mistake, mistake.split(": ")[0].split("/")) for mistake in mistakes]
    return [f"{mistake} (line {_line(root, keys)})" if _begins(root, keys) else mistake for mistake, keys in paths]


def _begins(root: yaml.Node, keys: Sequence[str]) -> bool:
    """True if a path begins in a file: with a key that the file has, or that it should have at its top."""
    return _below(root, keys[0]) is not None or re.fullmatch(r"\w+", keys[0]) is not None


def _line(node: yaml.Node, keys: Sequence[str]) -> int:
    line = node.start_mark.line + 1
    below = _below(node, keys[0]) if keys else None
    return line if below is None else _line(below[1], keys[1:]) if len(keys) > 1 else below[0].start_mark.line + 1


def _below(node: yaml.Node, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the node of a key, or of a number from 1 in a list, and that of its value; None if there is none."""
    if isinstance(node, yaml.MappingNode):
        return next(((name, value) for name, value in node.value if name.value == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) <= len(node.value):
        return node.value[int(key) - 1], node.value[int(key) - 1]
    return None


def _read(path: Path) -> dict[Any, Any]:
    return _parsed(path, read_text(path))


def _parsed(path: Path, text: str) -> dict[Any, Any]:
    try:
        data = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UsageError(f"{path.name} is not YAML: {_reason_not_yaml(error, text)}.") from error
    except RecursionError as error:
        raise UsageError(f"{path.name} has lists or mappings within each other that are too deep to read.") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # a tag that does not fit, as in !!bool maybe
        raise UsageError(f"{path.name} has a value that does not fit its tag: {error}.") from error
    if data is None:
        raise UsageError(f"{path.name} is empty.", hint=NEW)
    if not isinstance(data, dict):
        raise UsageError(f"{path.name}: expected a mapping at the top, got {short(data)}.")
    return data


def _reason_not_yaml(error: yaml.YAMLError, text: str) -> str:
    """Return the parser's complaint in a line, with the place; a tab by its name."""
    if not isinstance(error, yaml.MarkedYAMLError) or not error.problem or not error.problem_mark:
        return " ".join(str(error).split())
    mark = error.problem_mark
    line = text.splitlines()[mark.line] if mark.line < len(text.splitlines()) else ""
    problem = "a tab, where only spaces indent" if line[mark.column :].startswith("\t") else error.problem
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"


def _laid_over(below: Mapping[Any, Any], above: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return `below` with the values of `above`, mapping by mapping."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
