"""The switches that the instrumented code asks at each guard."""

from __future__ import annotations

import re
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
    """The guard that is switched off, and the guards that would have made a difference since the last test began."""

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
    SWITCH.passed.add((site, Off.FALSE if value else Off.TRUE))
    if SWITCH.is_off(site, Off.FALSE):
        return False
    return True if SWITCH.is_off(site, Off.TRUE) else value


def asked(site: str, text: str, compares: bool) -> str:
    """Return a statement, without its lock (or its comparison, where these count) when that is switched off."""
    SWITCH.passed.add((site, Off.WEAKER))
    if not SWITCH.is_off(site, Off.WEAKER):
        return text
    return weaker(text) if compares else locks_less(text)


_LOCK = re.compile(r"\s*\bFOR (?:NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)(?: OF \w+)?(?: SKIP LOCKED| NOWAIT)?")
_MODE = re.compile(r"\b(?:SHARE ROW EXCLUSIVE|ROW EXCLUSIVE|ACCESS EXCLUSIVE|SHARE|EXCLUSIVE) MODE\b")


def locks_less(text: str) -> str:
    """Return a statement without its row locks, and with the weakest table lock."""
    return _MODE.sub("ACCESS SHARE MODE", _LOCK.sub("", text))


def weaker(text: str) -> str:
    """Return a statement that locks less, with its inequalities turned round."""
    return locks_less(text).replace("IS DISTINCT FROM", "IS NOT DISTINCT FROM").replace("<>", "=")
