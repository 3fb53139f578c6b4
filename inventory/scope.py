"""The scope of a night: what is deleted, by which catalog and by which version of this tool; one digest for all of it.

Two hosts may work on one night only with equal scopes. Each computes it from its own files, so nothing is believed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import cache, lru_cache
from urllib.parse import quote

from errors import RefusedError, UsageError
from inventory.keys import Key, key_order
from inventory.load import FOLDER, ROOT, load_catalog
from inventory.model import Database, Environment, Night

SHORT = 12  # hex digits of a digest
ROOMS = ("archiver", "inventory", "platforms", "runbooks")  # their code decides what happens to a row
BESIDE = ("errors.py", "formatting.py")
CODE = (".py", ".sql")
# Keys of the inventory that a machine may have of its own; the night's entry is in the scope.
OWN_KEYS = ("heartbeat", "nights", "overlay", "ssh", "state", "webhook")
_FIELD = re.compile(r"([a-z_]+)=([\w.,:%-]+)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The scope of a night, or of a task apart from any night; an empty field says nothing."""

    depth: str = ""  # empty apart from a night
    schools: str = ""  # the ids left out: 21,22
    customers: str = ""
    reasons: str = ""  # a digest of the reasons for leaving them out, and for taking in those below
    only_schools: str = ""  # the ids on the include list; neither: every school is taken in
    only_customers: str = ""
    school_depths: str = ""  # the ids with a depth of their own: 13:students
    customer_depths: str = ""
    steps: str = ""  # a digest of the team's own steps, of all nights; empty if it has none
    catalog: str  # a digest
    version: str  # a digest of the code

    @property
    def text(self) -> str:
        """The scope as one word that needs no quoting: depth=all/schools=21/catalog=…/version=…."""
        return "/".join(f"{name}={value}" for name, value in asdict(self).items() if value)

    @property
    def digest(self) -> str:
        """A digest of the whole scope, 12 hex digits."""
        return short_digest(self.text)

    @property
    def lines(self) -> tuple[str, ...]:
        """The digest and each field, a line each."""
        return (
            f"scope {self.digest}",
            *(f"scope {name}: {_shown(name, value)}" for name, value in asdict(self).items()),
        )

    def differences(self, other: Scope, where: str) -> list[str]:
        """Return each field in which another scope, `where` one is, differs: `depth: students sent, all here`."""
        own, others = asdict(self), asdict(other)
        pairs = [(name, _shown(name, others[name]), _shown(name, own[name])) for name in own]
        return [f"{name}: {theirs} {where}, {ours} here" for name, theirs, ours in pairs if theirs != ours]

    def refuse_other(self, sent: Scope, task: str) -> None:
        """Raise RefusedError with every difference if a task was sent here with another scope than this host has."""
        if differences := self.differences(sent, "sent"):
            lines = [f"{task} refused: this host has another scope than the machine that sent it:", *differences]
            hint = "Give both the same inventory, catalog and version of this tool. Nothing was changed."
            raise RefusedError("\n  - ".join(lines), hint=hint)


NO_SCOPE = Scope(catalog="", version="")  # of a sender from before there were scopes


def parse_scope(text: str, label: str = "--scope") -> Scope:
    """Return the scope that a text says; UsageError for any other text."""
    pairs = [_FIELD.fullmatch(word) for word in text.split("/")]
    fields = {pair[1]: pair[2] for pair in pairs if pair}
    complete = fields.keys() <= set(Scope.__annotations__) and {"catalog", "version"} <= fields.keys()
    if not complete or len(fields) != len(pairs):
        raise UsageError(
            f"{label}: expected fields such as depth=all/catalog=…/version=…, got {text!r}.",
            hint="inv archive.scope --date=… prints it.",
        )
    return Scope(**fields)


def scope_of(environment: Environment, night: Night | None = None) -> Scope:
    """Return the scope of a night, or of work apart from any night, from the files of this host."""
    tool = Scope(catalog=_catalog_digest(environment.catalog), version=version())
    if night is None:
        return tool
    exclude, only, own_steps = night.exclude, night.only, environment.own_steps.values()
    reasons = {**exclude.reasons, **({"only": asdict(only)} if only else {})}
    return Scope(
        depth=night.depth,
        schools=_ids(exclude.schools),
        customers=_ids(exclude.customers),
        reasons=short_digest(_plain(reasons)) if reasons else "",
        only_schools=_ids(only.schools) if only else "",
        only_customers=_ids(only.customers) if only else "",
        school_depths=_depths(night.depths.schools),
        customer_depths=_depths(night.depths.customers),
        steps=short_digest(_plain([asdict(step) for step in own_steps])) if own_steps else "",
        catalog=tool.catalog,
        version=tool.version,
    )


def inventory_digests(environment: Environment) -> dict[str, str]:
    """Return a digest of each key of the inventory that must be the same on every host that runs this tool."""
    values = {field.name: getattr(environment, field.name) for field in fields(environment)}
    values["databases"] = {name: _as_in_file(each) for name, each in environment.databases.items()}
    return {key: short_digest(_plain(value)) for key, value in values.items() if key not in OWN_KEYS}


def _shown(name: str, value: str) -> str:
    """Return a field's value for people: an include list that is not there takes in every school, and not none."""
    return value or ("no list" if name.startswith("only_") else "none")


def _as_in_file(database: Database) -> Database:
    """Return a database without the address that a platform said, which comes from no file."""
    return replace(database, connection={}) if database.config_var else database


def _plain(value: object) -> str:
    plain = {"value": asdict(value) if is_dataclass(value) and not isinstance(value, type) else value}
    return json.dumps(plain, default=_as_data, sort_keys=True, ensure_ascii=False)


def _as_data(value: object) -> object:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


@cache
def version() -> str:
    """Return a digest of the code that decides what happens to a row: as this process has it."""
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in CODE]
    digest = hashlib.sha256()
    for path in sorted((*paths, *(ROOT / name for name in BESIDE))):
        digest.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:SHORT]


def short_digest(text: str) -> str:
    """Return the first hex digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:SHORT]


def _catalog_digest(name: str) -> str:
    try:
        written = (FOLDER / name).read_bytes()
    except OSError:
        written = b""  # load_catalog says what is wrong
    return _digest_of_catalog(name, written)


@lru_cache(maxsize=4)
def _digest_of_catalog(name: str, written: bytes) -> str:
    """Return the digest of what a catalog says, whatever its comments and layout; parsed once for each text."""
    return short_digest(json.dumps(asdict(load_catalog(name)), ensure_ascii=False))


def _depths(depths: Mapping[Key, str]) -> str:
    in_order = sorted(depths.items(), key=lambda pair: key_order(pair[0]))
    return ",".join(f"{_word(key)}:{depth}" for key, depth in in_order)


def _ids(ids: Iterable[Key]) -> str:
    return ",".join(map(_word, sorted(set(ids), key=key_order)))


def _word(key: Key) -> str:
    """Return a key without a character that a field could not hold."""
    return quote(str(key), safe="").replace("~", "%7E")
