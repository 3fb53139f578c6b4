"""How judges read what was seen: words, JSON and moments, or a clear word that it can't be read. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from runbooks.engine.model.actions import ProbeOutput


class Unreadable(Exception):
    """What was seen says nothing that can be judged."""


def word(output: ProbeOutput, known: Collection[str]) -> str:
    """The one word a probe printed, which must be a known one."""
    said = output.text.strip().lower()
    if said not in known:
        raise Unreadable(f"expected one of {', '.join(known)}, got {_said(output)}")
    return said


def record(output: ProbeOutput, *fields: str) -> dict[str, Any]:
    """The JSON object in the last line a probe printed, with at least these fields."""
    lines = output.text.strip().splitlines()
    return _object(lines[-1] if lines else "", output, fields)


def records(output: ProbeOutput, *fields: str) -> list[dict[str, Any]]:
    """The JSON objects a probe printed, one a line, each with at least these fields; it must have succeeded."""
    if output.code != 0:
        raise Unreadable(f"expected JSON objects, got {_said(output)}")
    return [_object(line, output, fields) for line in output.text.strip().splitlines()]


def _object(line: str, output: ProbeOutput, fields: Iterable[str]) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Unreadable(f"expected a JSON object, got {_said(output)}")
    missing = [field for field in fields if field not in data]
    if missing:
        raise Unreadable(f"expected {', '.join(missing)} in {_said(output)}")
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


def complaint(effect: str, output: ProbeOutput) -> str:
    """Why a command did not succeed, in one line."""
    last = (output.error.strip() or output.text.strip()).splitlines()[-1:] or ["it said nothing"]
    return f"{effect} exited {output.code}: {last[0].strip()}"


def _said(output: ProbeOutput) -> str:
    if output.text.strip():
        return repr(output.text.strip()[:200])
    return f"nothing (exit {output.code}: {output.error.strip()[:200] or 'no message'})"
