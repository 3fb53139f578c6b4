"""Free disk on a host: how df is asked, and what it says. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.probe_output import Unreadable

_LINE = re.compile(r".*\s\d+\s+\d+\s+(-?\d+)\s+(?:\d+%|-)\s+(/.*)")  # free kB, mount point


def df(paths: Iterable[str]) -> str:
    """The command that tells of the disks on which these paths lie."""
    return f"df -Pk {' '.join(map(shlex.quote, paths))}"


def mounts(output: ProbeOutput, count: int) -> list[tuple[str, int]]:
    """Each path's mount point and the bytes that are free there; Unreadable where df did not say so."""
    lines = [found for line in output.text.splitlines()[1:] if (found := _LINE.fullmatch(line.rstrip()))]
    if output.code != 0 or len(lines) != count:
        said = (output.error or output.text).strip()[:200] or "it said nothing"
        raise Unreadable(f"df exited {output.code}: {said}")
    return [(found[2], int(found[1]) * 1024) for found in lines]
