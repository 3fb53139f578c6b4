"""The inventory's probes: each can be read on every host on which a step asks it, whatever it says yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inventory.model import Probes
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.model.step import Check, Step, Verdict, holds


def subjects(steps: Sequence[Step], probes: Probes) -> Iterator[Subject]:
    """Yield a subject for each probe that a step is proven by."""
    checks = {str(check): check for step in steps for task in step.tasks for check in task.checks}
    for name, command in vars(probes).items():
        asked = [check for check in checks.values() if _hosts(check, command)]
        if asked:
            advice = f"Look at probes/{name}; inventory/example.yaml has what it prints."
            precondition = Precondition(check=readable(asked, command), advice=advice)
            yield Subject(name=f"probes/{name}", preconditions=(precondition,))


def readable(checks: Sequence[Check], command: str) -> Check:
    """Return the check that what a probe prints can be judged, on all hosts that it is asked on."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        left = outputs
        for check in checks:
            own, left = left[: len(check.looks)], left[len(check.looks) :]
            try:
                check.judge(own, facts)
            except Unreadable as error:
                raise Unreadable(f"{', '.join(_hosts(check, command))}: {error}") from error
        return holds(f"read on {', '.join(dict.fromkeys(host for check in checks for host in _hosts(check, command)))}")

    looks = tuple(look for check in checks for look in check.looks)
    return Check(title=f"{command} can be read", looks=looks, judge=judge)


def _hosts(check: Check, command: str) -> list[str]:
    return [look.host for look in check.looks if isinstance(look, RemoteCommand) and look.command == command]
