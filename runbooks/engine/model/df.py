"""Free disk space on a host: the df command, and its output parsed. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.probe_output import Unreadable

_LINE = re.compile(r".*\s\d+\s+\d+\s+(-?\d+)\s+(?:\d+%|-)\s+(/.*)")  # free kB, mount point


def df(paths: Iterable[str]) -> str:
    """Return the command that reports the file systems of these paths."""
    return f"df -Pk {' '.join(map(shlex.quote, paths))}"


def mounts(output: ProbeOutput, count: int) -> list[tuple[str, int]]:
    """Return each path's mount point and the bytes free there. Raises Unreadable if df did not report them."""
    matches = [match for line in output.text.splitlines()[1:] if (match := _LINE.fullmatch(line.rstrip()))]
    if output.code != 0 or len(matches) != count:
        said = (output.error or output.text).strip()[:200] or "it printed nothing"
        raise Unreadable(f"df exited {output.code}: {said}")
    return [(match[2], int(match[1]) * 1024) for match in matches]
