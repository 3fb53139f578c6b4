"""The switches that the instrumented code asks at each guard."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class Off(Enum):
    """The ways to switch a guard off."""

    NEVER = "is never refused"  # the `raise` is skipped
    FALSE = "is never true"
    TRUE = "is always true"
    WEAKER = "is not asked of the server"  # a lock or a comparison in SQL


@dataclass
class Switch:
    """The guard that is switched off, and the guards that were passed since the last test began."""

    site: str = ""
    off: Off | None = None
    passed: set[tuple[str, Off]] = field(default_factory=set)

    def is_off(self, site: str, off: Off) -> bool:
        """Return whether this guard is switched off in this way."""
        return self.site == site and self.off is off


SWITCH = Switch()


def refuses(site: str) -> bool:
    """Return whether the `raise` at this place is carried out."""
    SWITCH.passed.add((site, Off.NEVER))
    return not SWITCH.is_off(site, Off.NEVER)


def compared(site: str, value: object) -> object:
    """Return a comparison's value, or what the guard says when it is switched off."""
    SWITCH.passed |= {(site, Off.FALSE), (site, Off.TRUE)}
    if SWITCH.is_off(site, Off.FALSE):
        return False
    return True if SWITCH.is_off(site, Off.TRUE) else value


def asked(site: str, text: str) -> str:
    """Return a statement, without its lock or comparison when that is switched off."""
    SWITCH.passed.add((site, Off.WEAKER))
    return weaker(text) if SWITCH.is_off(site, Off.WEAKER) else text


_LOCK = re.compile(r"\s*\bFOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)(?: OF \w+)?(?: SKIP LOCKED| NOWAIT)?")
_WEAKER: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_LOCK, ""),
    (
        re.compile(r"\b(?:SHARE ROW EXCLUSIVE|ROW EXCLUSIVE|ACCESS EXCLUSIVE|SHARE|EXCLUSIVE) MODE\b"),
        "ACCESS SHARE MODE",
    ),
    (re.compile(r"\bIS DISTINCT FROM\b"), "IS NOT DISTINCT FROM"),
    (re.compile(r"<>"), "="),
)


def weaker(text: str) -> str:
    """Return a statement without its row locks, with the weakest table lock, with its inequalities turned round."""
    for pattern, instead in _WEAKER:
        text = pattern.sub(instead, text)
    return text
