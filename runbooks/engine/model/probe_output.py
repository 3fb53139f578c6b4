"""How judges read what was seen: words, JSON and moments, or a clear word that it can't be read. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from runbooks.engine.model.actions import Reading


class Unreadable(Exception):
    """What was seen says nothing that can be judged."""


def word(reading: Reading, known: Collection[str]) -> str:
    """The one word a probe printed, which must be a known one."""
    said = reading.text.strip().lower()
    if said not in known:
        raise Unreadable(f"expected one of {', '.join(known)}, got {_said(reading)}")
    return said


def record(reading: Reading, *fields: str) -> dict[str, Any]:
    """The JSON object in the last line a probe printed, with at least these fields."""
    lines = reading.text.strip().splitlines()
    return _object(lines[-1] if lines else "", reading, fields)


def records(reading: Reading, *fields: str) -> list[dict[str, Any]]:
    """The JSON objects a probe printed, one a line, each with at least these fields; it must have succeeded."""
    if reading.code != 0:
        raise Unreadable(f"expected JSON objects, got {_said(reading)}")
    return [_object(line, reading, fields) for line in reading.text.strip().splitlines()]


def _object(line: str, reading: Reading, fields: Iterable[str]) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Unreadable(f"expected a JSON object, got {_said(reading)}")
    missing = [field for field in fields if field not in data]
    if missing:
        raise Unreadable(f"expected {', '.join(missing)} in {_said(reading)}")
    return data


def moment(text: object) -> datetime:
    """A moment as ISO 8601 with its offset."""
    try:
        stamp = datetime.fromisoformat(str(text))
    except ValueError:
        stamp = None
    if stamp is None or stamp.tzinfo is None:
        raise Unreadable(f"expected a time as 2014-08-15T22:00:00+00:00, got {text!r}")
    return stamp


def not_before(stamp: datetime, reference: datetime) -> bool:
    """Whether a moment that may be told in whole seconds is not earlier than another."""
    return stamp >= reference.replace(microsecond=0)


def complaint(effect: str, reading: Reading) -> str:
    """Why a command did not succeed, in one line."""
    last = (reading.error.strip() or reading.text.strip()).splitlines()[-1:] or ["it said nothing"]
    return f"{effect} exited {reading.code}: {last[0].strip()}"


def _said(reading: Reading) -> str:
    if reading.text.strip():
        return repr(reading.text.strip()[:200])
    return f"nothing (exit {reading.code}: {reading.error.strip()[:200] or 'no message'})"
