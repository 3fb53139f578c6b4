"""Units and their results as plain JSON, for workers on other machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from archiver.postgres.tenants import Include, OwnDepths
from archiver.records.archive_request import ArchiveRequest
from archiver.runs.context import ArchiveOutcome
from archiver.runs.units import Unit, UnitResult
from errors import AbortedError, CutoverError, DamagedError, LockedError, RefusedError, UnknownError, UsageError
from inventory.keys import Key, key_of_json, key_said

KINDS: Mapping[str, type[CutoverError]] = {  # the names are shared with workers of other versions
    "CutoverError": CutoverError,
    "UsageError": UsageError,
    "RefusedError": RefusedError,
    "DamagedError": DamagedError,
    "UnknownError": UnknownError,
    "LockedError": LockedError,
    "AbortedError": AbortedError,
}
_WORDS = {kind: word for word, kind in KINDS.items()}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A unit, its worker's memory limit, and the scope of the run that sent it."""

    unit: Unit
    memory: int  # bytes
    scope: str = ""  # catalog and version, as text; empty: an earlier version sent it

    def to_json(self) -> dict[str, Any]:
        """Return the job as plain data."""
        request = self.unit.request
        times = {
            name: moment and moment.isoformat() for name, moment in (("night", request.night), ("until", request.until))
        }
        order = {**asdict(request), **times}
        del order["accept_orphans"]  # workers delete nothing, and those of earlier versions do not know it
        if request.only is None:
            del order["only"]  # nor this, nor the next
        else:
            order["only"] = _by_word(order["only"])
        if request.own_depths == OwnDepths():
            del order["own_depths"]
        else:
            order["own_depths"] = _by_word(order["own_depths"])
        return {
            "shard": self.unit.shard,
            "tenant_ids": self.unit.tenant_ids,
            "memory": self.memory,
            "scope": self.scope,
            "order": order,
        }


def job(plain: Mapping[str, Any]) -> Job:
    """Return a job from plain data."""
    order = plain["order"]
    night = order["night"] and date.fromisoformat(order["night"])
    until = order["until"] and datetime.fromisoformat(order["until"])
    only = order.get("only") and Include(**_by_key(order["only"]))
    own_depths = OwnDepths(**_by_key(order.get("own_depths", {})))
    unit = Unit(
        shard=plain["shard"],
        tenant_ids=tuple(map(key_of_json, plain["tenant_ids"])),
        request=ArchiveRequest(**{**order, "night": night, "until": until, "only": only, "own_depths": own_depths}),
    )
    return Job(unit=unit, memory=plain["memory"], scope=plain.get("scope", ""))


def _by_word(lists: Mapping[str, Mapping[Key, str]]) -> dict[str, dict[str, str]]:
    """Return lists of tenants and customers by their keys, which JSON keeps as text."""
    return {name: {str(key): said for key, said in listed.items()} for name, listed in lists.items()}


def _by_key(lists: Mapping[str, Mapping[str, str]]) -> dict[str, dict[Any, str]]:
    """Return the lists of `_by_word`."""
    return {name: {key_said(word): said for word, said in listed.items()} for name, listed in lists.items()}


def ended_to_json(ended: UnitResult) -> dict[str, Any]:
    """Return a unit's result as plain data, with the fields of each outcome that callers report."""
    return {"outcomes": [_outcome_to_json(outcome) for outcome in ended.outcomes], "error": _error_to_json(ended.error)}


def ended(unit: Unit, plain: Mapping[str, Any]) -> UnitResult:
    """Return a unit's result from plain data."""
    outcomes = [_outcome(outcome) for outcome in plain["outcomes"]]
    return UnitResult(unit=unit, outcomes=outcomes, error=_error(plain["error"]))


def _outcome_to_json(outcome: ArchiveOutcome) -> dict[str, Any]:
    plain = {"tenant_id": outcome.item, "seconds": outcome.seconds, "rows": outcome.rows, "size": outcome.size}
    return {**plain, "error": _error_to_json(outcome.error)}


def _outcome(plain: Mapping[str, Any]) -> ArchiveOutcome:
    return ArchiveOutcome(
        item=key_of_json(plain["tenant_id"]),
        seconds=plain["seconds"],
        rows=plain["rows"],
        size=plain["size"],
        error=_error(plain["error"]),
    )


def _error_to_json(error: CutoverError | None) -> dict[str, str] | None:
    if error is None:
        return None
    word = next(_WORDS[parent] for parent in type(error).__mro__ if parent in _WORDS)
    return {"kind": word, "message": str(error), "hint": error.hint}


def _error(plain: Mapping[str, str] | None) -> CutoverError | None:
    return KINDS[plain["kind"]](plain["message"], hint=plain["hint"]) if plain else None
