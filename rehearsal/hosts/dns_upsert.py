"""`dns-upsert NAME HOST`: points a DNS name at a warehouse's farm."""

from __future__ import annotations

import re
from collections.abc import Sequence

from errors import UsageError
from rehearsal import zone
from rehearsal.hosts.command import Here, run

HOST_NAME = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]+"


def upsert(here: Here, words: Sequence[str]) -> str:
    """Makes the name, or points it elsewhere; a farm's own name stays what it is."""
    farms = here.lab.farms
    if len(words) != 2 or words[1] not in farms.targets:
        raise UsageError(f"Expected NAME and {' or '.join(farms.targets)}, got {' '.join(words) or 'nothing'}.")
    name, host = words[0].rstrip(".").lower(), words[1]
    if not re.fullmatch(HOST_NAME, name) or name in farms.targets.values():
        raise UsageError(f"Expected a DNS name that may move, such as {farms.name}, got {words[0]!r}.")
    zone.upsert(here.lab.layout.zone, zone.Entry(name, "CNAME", farms.targets[host]))
    return ""


if __name__ == "__main__":
    run("dns-upsert", upsert)
