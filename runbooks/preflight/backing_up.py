"""What steps 5 and 6 need on a database server where this tool does them: itself, and its way to the store."""

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
    """This tool answers there, and its credentials read the store of backups; nothing where it takes none."""
    if night.environment.backups is None:
        return
    look = RemoteCommand(host=host.name, command=probes(night)[1])

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        if outputs[0].code != 0:
            return fails(complaint("asking this tool there for the stored copy", outputs[0]))
        stored = record(outputs[0])
        return holds(f"it reads the store of backups, {stored.get('location', 'which has none of it yet')}")

    check = Check(title="this tool is there, and reads the store of backups", looks=(look,), judge=judge)
    yield Precondition(check=check, advice=f"Look at tool and backups in the inventory, and at {host.name} itself.")
