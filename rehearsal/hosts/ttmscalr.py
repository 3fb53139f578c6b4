"""`ttmscalr VERB -f FARM`: stands for the farms' own tool: maintenance mode, the old warehouse's ETL, a farm's size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from errors import UsageError
from rehearsal.hosts.command import Here, main
from rehearsal.hosts.switches import DISABLED, OFF, ON, SMALL, look, put

PRODUCT_FARM, WAREHOUSE_FARM = "rehearsal", "warehouse-rehearsal"


def maintenance(word: str, here: Here, words: Sequence[str]) -> str:
    """Shuts the product for visitors, or opens it."""
    _farm(words, PRODUCT_FARM)
    return put(here.lab.layout.maintenance, word)


def shut_sidekiq(here: Here, words: Sequence[str]) -> str:
    """Switches the ETL of the old warehouse off."""
    _farm(words, WAREHOUSE_FARM)
    return put(here.lab.layout.etl(here.lab.farms.old), DISABLED)


def shrink(here: Here, words: Sequence[str]) -> str:
    """Makes a warehouse's farm small."""
    farm = _farm(words, *here.lab.farms.targets)
    return put(here.lab.layout.size(farm), SMALL)


def size(here: Here, words: Sequence[str]) -> str:
    """How large a warehouse's farm is."""
    return look(here.lab.layout.size(_farm(words, *here.lab.farms.targets)))


def _farm(words: Sequence[str], *known: str) -> str:
    if len(words) != 2 or words[0] != "-f" or words[1] not in known:
        raise UsageError(f"Expected -f {' or '.join(known)}, got {' '.join(words) or 'nothing'}.")
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
