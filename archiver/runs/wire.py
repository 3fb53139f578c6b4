"""Units and their ends as plain JSON, for workers on other machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from archiver.records.archive_record import ArchiveRequest
from archiver.runs.context import ArchiveOutcome
from archiver.runs.units import Unit, UnitResult
from errors import AbortedError, CutoverError, DamagedError, LockedError, RefusedError, UnknownError, UsageError
from inventory.model import Depth

KINDS: Mapping[str, type[CutoverError]] = {  # workers of other versions know them by these words
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
    """A unit, and what its worker may take."""

    unit: Unit
    memory: int  # bytes

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        request = self.unit.request
        times = {
            name: moment and moment.isoformat() for name, moment in (("night", request.night), ("until", request.until))
        }
        return {
            "shard": self.unit.shard,
            "tenant_ids": self.unit.tenant_ids,
            "memory": self.memory,
            "order": {**asdict(request), "depth": request.depth.value, **times},
        }


def job(plain: Mapping[str, Any]) -> Job:
    """A unit from plain data."""
    order = plain["order"]
    night = order["night"] and date.fromisoformat(order["night"])
    until = order["until"] and datetime.fromisoformat(order["until"])
    unit = Unit(
        shard=plain["shard"],
        tenant_ids=tuple(plain["tenant_ids"]),
        request=ArchiveRequest(**{**order, "depth": Depth(order["depth"]), "night": night, "until": until}),
    )
    return Job(unit=unit, memory=plain["memory"])


def ended_to_json(ended: UnitResult) -> dict[str, Any]:
    """What became of a unit, as plain data: of each tenant what a caller tells of it."""
    return {"outcomes": [_outcome_to_json(one) for one in ended.outcomes], "error": _error_to_json(ended.error)}


def ended(unit: Unit, plain: Mapping[str, Any]) -> UnitResult:
    """What became of a unit, from plain data."""
    outcomes = [ArchiveOutcome(**{**one, "error": _error(one["error"])}) for one in plain["outcomes"]]
    return UnitResult(unit=unit, outcomes=outcomes, error=_error(plain["error"]))


def _outcome_to_json(one: ArchiveOutcome) -> dict[str, Any]:
    told = {"tenant_id": one.tenant_id, "seconds": one.seconds, "rows": one.rows, "size": one.size}
    return {**told, "error": _error_to_json(one.error)}


def _error_to_json(error: CutoverError | None) -> dict[str, str] | None:
    if error is None:
        return None
    word = next(_WORDS[parent] for parent in type(error).__mro__ if parent in _WORDS)
    return {"kind": word, "message": str(error), "hint": error.hint}


def _error(plain: Mapping[str, str] | None) -> CutoverError | None:
    return KINDS[plain["kind"]](plain["message"], hint=plain["hint"]) if plain else None
