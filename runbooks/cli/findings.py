"""Findings of looks on the operator's screen: a line each, with a hint below what does not hold, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from invoke.exceptions import Exit

from errors import ExitCode
from formatting import many
from runbooks.engine.live.console import say, say_wrapped
from runbooks.engine.model.preconditions import Finding


def mark(finding: Finding) -> str:
    """Return the sign before a finding: a cross if it stops, an exclamation mark if it warns, else a check mark."""
    return "✗" if finding.stops else "!" if finding.warns else "✓"


def show(findings: Sequence[Finding]) -> None:
    """Print each finding in a line, with its hint below if it does not hold."""
    for finding in findings:
        style = "bold red" if finding.stops else "yellow" if finding.warns else ""
        say_wrapped(f"{mark(finding)} {finding.subject}: {finding.says}", style=style)
        if not finding.verdict.holds:
            show_hint(finding.precondition.advice)


def show_hint(text: str) -> None:
    """Print a hint; one that is a command is never wrapped, so that it can be typed as it stands."""
    show_line = say if text.startswith("inv ") else say_wrapped
    show_line(f"    hint: {text}")


def to_plain(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return plain data: of each finding its subject, its outcome, what was found, and a hint if it does not hold."""
    return [
        {
            "subject": finding.subject,
            "outcome": finding.verdict.truth.value,
            "found": finding.says,
            "stops": finding.stops,
            "hint": "" if finding.verdict.holds else finding.precondition.advice,
        }
        for finding in findings
    ]


def settle(findings: Sequence[Finding], *, summary: bool = True) -> None:
    """Print how many looks hold, as a summary; exit with FAILED if one stops."""
    stopping, warning = (sum(getattr(each, kind) for each in findings) for kind in ("stops", "warns"))
    holding = sum(finding.verdict.holds for finding in findings)
    parts = [f"{holding} of {many(len(findings), 'look')} hold"]
    parts += [many(warning, "warning")] if warning else []
    parts += [f"{stopping} FAILED"] if stopping else []
    if summary:
        say("; ".join(parts) + ".")
    if stopping:
        raise Exit(code=ExitCode.FAILED)
