"""The feeds: truncated once a year, when their schools are archived. This tool does it, from the debug host."""

from __future__ import annotations

from datetime import timedelta

from inventory.model import Role
from runbooks.cli.self_command import tool_command
from runbooks.engine.model.actions import DetachedJob, ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import record
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds
from runbooks.steps.maintenance import ON, answers

TASK = "databases.truncate-feeds"
LONGEST = timedelta(hours=1)
PATIENCE = timedelta(minutes=5)  # to count what is left


@builds("feeds.truncate")
def truncate(night: NightContext, key: str) -> Step:
    """Truncate the feeds, while the product is not in use."""
    environment, host = night.environment, night.environment.only(Role.DEBUG)
    word = environment.name if environment.production else ""
    command = tool_command(environment, TASK, confirm=word, yes_production=environment.production)
    action = DetachedJob(host=host.name, command=command, timeout=LONGEST)
    needs = (answers(night, ON),)
    return Step(
        key=key,
        title="Truncate the feeds",
        mark=Mark.AUTOMATE,
        tasks=(night.task(key, host, checks=(empty(night),), action=action, needs=needs),),
        estimate=timedelta(minutes=2),
    )


def empty(night: NightContext) -> Check:
    """Return the check that no feed has a row."""
    command = tool_command(night.environment, TASK, dry_run=True, json=True)
    look = RemoteCommand(host=night.environment.only(Role.DEBUG).name, command=command, timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        counts = record(outputs[0], "rows", "feeds")
        left = [f"{feed['table']} has {feed['rows']} rows" for feed in counts["feeds"] if feed["rows"]]
        names = ", ".join(feed["table"] for feed in counts["feeds"])
        return fails("; ".join(left)) if left else holds(f"{names or 'no feeds'}: empty")

    return Check(title="no feed has a row", looks=(look,), judge=judge)
