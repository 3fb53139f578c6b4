"""Preconditions of steps 5 and 6 if this tool does them: it is installed, and reaches the store."""

from __future__ import annotations

from collections.abc import Iterator

from inventory.model import Host
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.probe_output import complaint, record
from runbooks.engine.model.step import Check, Verdict, fails, holds
from runbooks.steps.backups import probes
from runbooks.steps.context import NightContext


def ready(night: NightContext, host: Host) -> Iterator[Precondition]:
    """Yield the check that this tool runs on the host and reads the store of backups; nothing if it takes none."""
    if night.environment.backups is None:
        return
    look = RemoteCommand(host=host.name, command=probes(night)[1])

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        if outputs[0].code != 0:
            return fails(complaint("asking this tool on the host for the stored copy", outputs[0]))
        stored = record(outputs[0])
        return holds(f"it reads the store of backups, {stored.get('location', 'which has none of this server yet')}")

    check = Check(title="this tool is installed, and reads the store of backups", looks=(look,), judge=judge)
    yield Precondition(check=check, advice=f"Look at tool and backups in the inventory, and at {host.name} itself.")
