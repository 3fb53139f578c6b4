"""`etl`, `auto-backup` and `warehouse-link`: each shows one switch, or sets it, in plain sh.

A night asks them hundreds of times, and Python takes thirty times as long to start as a shell.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from rehearsal.blueprint import Blueprint, LabHost
from rehearsal.hosts.switches import DISABLED, ENABLED, LINKED, UNLINKED

# The file is complete at every moment: a reader sees the old word or the new one.
_SCRIPT = """\
#!/bin/sh
file={file}
put() {{ umask 077; printf '%s\\n' "$1" > "$file.$$.part" && mv "$file.$$.part" "$file"; }}
case "$#:$1" in
1:on) put {on} ;;
1:off) put {off} ;;
1:status) cat "$file" ;;
*) echo "{name}: Expected one of on, off, status, got '$*'." >&2; exit 2 ;;
esac
"""


def schedule(home: Path) -> Path:
    """Return the file of a database host's backup schedule."""
    return home / "backup-schedule"


def switch_scripts(lab: Blueprint, host: LabHost) -> Mapping[str, Mapping[str, str]]:
    """Return the scripts of a host by role and name."""
    layout = lab.layout
    return {
        "warehouse": {"etl": _script("etl", layout.etl(host.name), ENABLED, DISABLED)},
        "database": {
            "auto-backup": _script("auto-backup", schedule(layout.host(host.name)), ENABLED, DISABLED),
            "warehouse-link": _script("warehouse-link", layout.warehouse_link, LINKED, UNLINKED),
        },
    }


def _script(name: str, file: Path, on: str, off: str) -> str:
    return _SCRIPT.format(name=name, file=shlex.quote(str(file)), on=on, off=off)
