"""`ttmscalr VERB -f FARM`: replaces the farms' own tool: maintenance mode, a warehouse's ETL, a farm's size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from errors import UsageError
from rehearsal.hosts.command import ThisHost, main
from rehearsal.hosts.switches import DISABLED, OFF, ON, SMALL, look, put

PRODUCT_FARM = "rehearsal"


def maintenance(word: str, host: ThisHost, words: Sequence[str]) -> str:
    """Close the product to visitors, or open it."""
    _farm(words, PRODUCT_FARM)
    return put(host.lab.layout.maintenance, word)


def shut_sidekiq(host: ThisHost, words: Sequence[str]) -> str:
    """Disable the ETL of a warehouse."""
    return put(host.lab.layout.etl(_farm(words, *host.lab.farms.targets)), DISABLED)


def shrink(host: ThisHost, words: Sequence[str]) -> str:
    """Make a warehouse's farm small."""
    farm = _farm(words, *host.lab.farms.targets)
    return put(host.lab.layout.size(farm), SMALL)


def size(host: ThisHost, words: Sequence[str]) -> str:
    """Return the size of a warehouse's farm."""
    return look(host.lab.layout.size(_farm(words, *host.lab.farms.targets)))


def _farm(words: Sequence[str], *farms: str) -> str:
    if len(words) != 2 or words[0] != "-f" or words[1] not in farms:
        raise UsageError(f"Expected -f {' or '.join(farms)}, got {' '.join(words) or 'nothing'}.")
    return words[1]


if __name__ == "__main__":
    main(
        "ttmscalr",
        {
            "maintenance:on": partial(maintenance, ON),
            "maintenance:off": partial(maintenance, OFF),
            "shutdown:sidekiq": shut_sidekiq,
            "resize:small": shrink,
            "size": size,
        },
    )
