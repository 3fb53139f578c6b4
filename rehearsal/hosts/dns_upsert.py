"""`dns-upsert NAME HOST`: points a DNS name at a warehouse's farm."""

from __future__ import annotations

import re
from collections.abc import Sequence

from errors import UsageError
from rehearsal import zone
from rehearsal.hosts.command import ThisHost, run

HOST_NAME = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]+"


def upsert(host: ThisHost, words: Sequence[str]) -> str:
    """Create the name, or point it elsewhere; a farm's own name can't be changed."""
    farms = host.lab.farms
    if len(words) != 2 or words[1] not in farms.targets:
        raise UsageError(f"Expected NAME and {' or '.join(farms.targets)}, got {' '.join(words) or 'nothing'}.")
    name, warehouse = words[0].rstrip(".").lower(), words[1]
    if not re.fullmatch(HOST_NAME, name) or name in farms.targets.values():
        raise UsageError(f"Expected a DNS name that may move, such as {farms.name}, got {words[0]!r}.")
    zone.upsert(host.lab.layout.zone, zone.Entry(name, "CNAME", farms.targets[warehouse]))
    return ""


if __name__ == "__main__":
    run("dns-upsert", upsert)
