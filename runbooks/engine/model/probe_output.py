"""Parsers of probe output: words, JSON objects and times; unreadable output raises. Pure."""

from __future__ import annotations

import json
import signal
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.preconditions import CLOCKS_APART

FAILURE = "FAILED"  # the word by which a task of this tool reports a table, a school or a shard that failed
LAST = 3  # lines
EXCERPT = 200  # characters


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


def past_moment(text: object, now: datetime) -> datetime:
    """Return a time as `moment` does, if it is over by our clock. Raises Unreadable."""
    stamp = moment(text)
    if stamp > now + CLOCKS_APART:
        raise Unreadable(f"{stamp:%Y-%m-%d %H:%M:%S} UTC is in the future by this machine's clock")
    return stamp


def not_before(stamp: datetime, reference: datetime) -> bool:
    """True if a time, which may be truncated to whole seconds, is not earlier than the reference."""
    return stamp >= reference.replace(microsecond=0)


def complaint(effect: str, output: ProbeOutput) -> str:
    """Return one line that says why a command failed."""
    last = (output.error.strip() or output.text.strip()).splitlines()[-1:] or ["it printed nothing"]
    return f"{effect} {ended(output.code)}: {last[0].strip()}"


def ended(code: int) -> str:
    """Return how a command ended: by its exit code, of which a shell makes 128 and more of a signal's number."""
    try:
        return f"was ended by {signal.Signals(code - 128).name} (exit code {code})"
    except ValueError:
        return f"exited {code}"


def last_lines(text: str) -> str:
    """Return the lines of a long command's output that say why it failed: those that report a failure, and the last."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    failures = [line for line in lines[:-LAST] if FAILURE in line][:LAST]
    return " / ".join([*failures, *lines[-LAST:]]) or "it printed nothing"


def excerpt(text: str) -> str:
    """Return the beginning of a host's words, as far as a sentence has room for them."""
    words = text.strip()
    return words if len(words) <= EXCERPT else f"{words[:EXCERPT]}…"


def _quoted(output: ProbeOutput) -> str:
    if output.text.strip():
        return repr(excerpt(output.text))
    return f"nothing (exit {output.code}: {excerpt(output.error) or 'no message'})"
