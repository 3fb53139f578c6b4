"""Each host: reachable, with its key in known_hosts, the right machine, and its clock in step with ours."""

from __future__ import annotations

import shlex
from datetime import timedelta

from inventory.model import Host
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import CLOCKS_APART, Precondition
from runbooks.engine.model.probe_output import Unreadable, complaint
from runbooks.engine.model.step import Check, Verdict, fails, holds
from runbooks.steps.context import NightContext

PATIENCE = timedelta(seconds=20)


def is_itself(night: NightContext, host: Host) -> Precondition:
    """Return the check that the host is reachable, shows its known key, and calls itself by its inventory name."""
    file = night.environment.host_name_file
    look = RemoteCommand(host=host.name, command=f"cat {_path(file)}", timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (output,) = outputs
        if output.code != 0:
            return fails(complaint(f"reading its own name from {file}", output))
        said = output.text.strip()
        sentence = f"reached, calls itself {said!r}"
        return holds(sentence) if said == host.name else fails(f"{sentence}, expected {host.name!r}")

    check = Check(title=f"{host.name} is reachable, and is the right host", looks=(look,), judge=judge)
    advice = f"Look at hosts/{host.name} and ssh/known_hosts in the inventory, and at {file} on the host."
    return Precondition(check=check, advice=advice, all_night=True)


def clock(host: Host) -> Precondition:
    """Return the check that its clock and ours agree."""
    look = RemoteCommand(host=host.name, command="date -u +%s", timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        said = outputs[0].text.strip()
        if not said.isdecimal():
            raise Unreadable(f"expected seconds since 1970, got {said!r}")
        apart = int(said) - facts.now.timestamp()
        sentence = f"its clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} ours"
        return holds(sentence) if abs(apart) <= CLOCKS_APART.total_seconds() else fails(sentence)

    check = Check(title=f"its clock is at most {CLOCKS_APART.total_seconds():.0f} s off", looks=(look,), judge=judge)
    return Precondition(check=check, advice="Correct the clock that is wrong: proofs compare times.", all_night=True)


def _path(file: str) -> str:
    """Return the path quoted, except for a tilde that stands for the home on that host."""
    return f"~/{shlex.quote(file.removeprefix('~/'))}" if file.startswith("~/") else shlex.quote(file)
