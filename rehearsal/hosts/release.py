"""`release deploy|revert|status FEATURE`: which features of the product's code are deployed."""

from __future__ import annotations

from collections.abc import Sequence

from errors import UsageError
from rehearsal.hosts.command import ThisHost, main
from rehearsal.hosts.switches import DEPLOYED, REVERTED, look, put

REPORTING, AUTO_ENROLL = "time-spent-doing-math", "auto-enroll-pathways"


def deploy(host: ThisHost, words: Sequence[str]) -> str:
    """Deploy a feature."""
    return put(host.lab.layout.feature(_feature(words)), DEPLOYED)


def revert(host: ThisHost, words: Sequence[str]) -> str:
    """Take a feature out of the product."""
    return put(host.lab.layout.feature(_feature(words)), REVERTED)


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return `deployed` or `reverted`."""
    return look(host.lab.layout.feature(_feature(words)))


def _feature(words: Sequence[str]) -> str:
    if len(words) != 1 or words[0] not in (REPORTING, AUTO_ENROLL):
        raise UsageError(f"Expected {REPORTING} or {AUTO_ENROLL}, got {' '.join(words) or 'nothing'}.")
    return words[0]


if __name__ == "__main__":
    main("release", {"deploy": deploy, "revert": revert, "status": status})
