"""Parsers of probe output: words, JSON objects and times; unreadable output raises. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from runbooks.engine.model.actions import ProbeOutput

FAILURE = "FAILED"  # the word by which a task of this tool reports a table, a school or a shard that failed
LAST = 3  # lines


class Unreadable(Exception):
    """Probe output that can't be judged."""


def word(output: ProbeOutput, words: Collection[str]) -> str:
    """Return the word that a probe printed. Raises Unreadable if it is not one of `words`."""
    printed = output.text.strip().lower()
    if printed not in words:
        raise Unreadable(f"expected one of {', '.join(words)}, got {_quoted(output)}")
    return printed


def record(output: ProbeOutput, *fields: str) -> dict[str, Any]:
    """Return the JSON object in the last line a probe printed. Raises Unreadable if it lacks one of the fields."""
    lines = output.text.strip().splitlines()
    return _object(lines[-1] if lines else "", output, fields)


def records(output: ProbeOutput, *fields: str) -> list[dict[str, Any]]:
    """Return the JSON objects a probe printed, one per line.

    Raises Unreadable if the probe failed or an object lacks one of the fields.
    """
    if output.code != 0:
        raise Unreadable(f"expected JSON objects, got {_quoted(output)}")
    return [_object(line, output, fields) for line in output.text.strip().splitlines()]


def _object(line: str, output: ProbeOutput, fields: Iterable[str]) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Unreadable(f"expected a JSON object, got {_quoted(output)}")
    missing = [field for field in fields if field not in data]
    if missing:
        raise Unreadable(f"expected {', '.join(missing)} in {_quoted(output)}")
    return data


def moment(text: object) -> datetime:
    """Return a time written as ISO 8601 with its offset. Raises Unreadable."""
    try:
        stamp = datetime.fromisoformat(str(text))
    except ValueError:
        stamp = None
    if stamp is None or stamp.tzinfo is None:
        raise Unreadable(f"expected a time as 2014-08-15T22:00:00+00:00, got {text!r}")
    return stamp


def not_before(stamp: datetime, reference: datetime) -> bool:
    """True if a time, which may be truncated to whole seconds, is not earlier than the reference."""
    return stamp >= reference.replace(microsecond=0)


def complaint(effect: str, output: ProbeOutput) -> str:
    """Return one line that says why a command failed."""
    last = (output.error.strip() or output.text.strip()).splitlines()[-1:] or ["it printed nothing"]
    return f"{effect} exited {output.code}: {last[0].strip()}"


def last_lines(text: str) -> str:
    """Return the lines of a long command's output that say why it failed: those that report a failure, and the last."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    failures = [line for line in lines[:-LAST] if FAILURE in line][:LAST]
    return " / ".join([*failures, *lines[-LAST:]]) or "it printed nothing"


def _quoted(output: ProbeOutput) -> str:
    if output.text.strip():
        return repr(output.text.strip()[:200])
    return f"nothing (exit {output.code}: {output.error.strip()[:200] or 'no message'})"
