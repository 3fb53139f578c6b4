"""The archiver's own checks on the debug host: of the catalog, of moves, and of the time that the night takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from formatting import in_minutes, many, plural
from inventory.model import Host
from runbooks.cli.self_command import tool_command
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.probe_output import Unreadable, complaint, moment, record
from runbooks.engine.model.step import Check, Step, Truth, Verdict, fails, holds
from runbooks.steps.context import NightContext

PATIENCE = timedelta(minutes=5)
ARCHIVING, OPEN_AGAIN = "archiving.run", "maintenance.off"  # steps


def catalog(night: NightContext, host: Host) -> Precondition:
    """Return the check that the catalog has every table of the live schema."""
    return Precondition(
        check=_says(night, host, "archive.check-catalog", "the catalog has every table of the live schema"),
        advice="inv archive.check-catalog shows more; the catalog is in inventory/.",
    )


def none_half_moved(night: NightContext, host: Host) -> Precondition:
    """Return the check that no school has rows in two shards, which would stop archiving."""
    return Precondition(
        check=_says(night, host, "shards.show", f"no {night.noun} is half moved between shards"),
        advice="Run the command shown: it completes the move.",
    )


def stragglers(night: NightContext, host: Host) -> Precondition:
    """Return the check that the old warehouse has the rows of schools that earlier nights left out; it only warns."""
    command = tool_command(night.environment, "archive.stragglers", date=night.date.isoformat(), json=True)
    look = RemoteCommand(host=host.name, command=command, timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        late = record(outputs[0], "since", "schools", "rows")
        if not late["rows"]:
            return holds(f"the old warehouse has every row of the {plural(night.noun)} that this night takes")
        counted = f"{many(late['rows'], 'row')} of {many(len(late['schools']), night.noun)}"
        return fails(f"the old warehouse lacks {counted}, written since {moment(late['since']):%Y-%m-%d %H:%M} UTC")

    check = Check(
        title=f"the old warehouse has the rows of {plural(night.noun)} left out before", looks=(look,), judge=judge
    )
    advice = f"Make sure that this is wanted; inv archive.stragglers --date={night.date} shows each {night.noun}."
    return Precondition(check=check, advice=advice, stops=())


def log(night: NightContext, host: Host) -> Precondition:
    """Return the check that the log and the journals of earlier nights are as they were written."""
    return Precondition(
        check=_says(night, host, "archive.log", "the log is as it was written", verify=True),
        advice="inv archive.log --verify shows it again.",
    )


def broker(night: NightContext, host: Host) -> tuple[Precondition, ...]:
    """Return the check that the broker answers, if step 8 counts on its workers."""
    queue = night.environment.queue
    if queue is None or not queue.workers:
        return ()
    advice = "queue in the inventory says where it is; without queue/workers the archiving does without."
    check = _says(night, host, "archive.worker", "the broker of the workers answers", check=True)
    return (Precondition(check=check, advice=advice),)


def _says(night: NightContext, host: Host, task: str, title: str, **options: bool) -> Check:
    """Return the check that a task of this tool succeeds on the host; its proof is the last line it prints."""
    look = RemoteCommand(host=host.name, command=tool_command(night.environment, task, **options), timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (output,) = outputs
        if output.code != 0:
            return fails("; ".join((output.error.strip() or complaint(str(look), output)).splitlines()))
        return holds((output.text.strip().splitlines() or ["it printed nothing"])[-1])

    return Check(title=title, looks=(look,), judge=judge)


def window(night: NightContext, host: Host, steps: Sequence[Step]) -> tuple[Precondition, ...]:
    """Return the check that the night fits into its window if it began now; nothing without a window."""
    if night.night.ends is None:
        return ()
    change = f"Begin earlier, exclude {plural(night.noun)}, or change nights/{night.date}/ends"
    advice = f"{change}; inv archive.estimate shows more."
    return (Precondition(check=fits(night, host, steps), advice=advice, stops=(Truth.FAILS,)),)


def fits(night: NightContext, host: Host, steps: Sequence[Step]) -> Check:
    """Return the check that the product is open again before the window closes, by plan and by the estimate."""
    others = _planned(steps)
    command = tool_command(night.environment, "archive.estimate", date=night.date.isoformat(), top="1", json=True)
    look = RemoteCommand(host=host.name, command=command, timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        if outputs[0].code != 0:
            raise Unreadable(complaint("the estimate", outputs[0]))
        archiving = timedelta(seconds=float(record(outputs[0], "together")["together"]))
        ends = night.environment.window_end(night.date, facts.now)
        assert ends is not None
        needed, left = archiving + others, ends - facts.now
        sentence = (
            f"{in_minutes(needed)} until the product is open again (archiving {in_minutes(archiving)}), and "
            f"{in_minutes(left)} until the window closes at {ends.astimezone(night.environment.zone):%H:%M}"
        )
        return holds(sentence) if needed <= left else fails(sentence)

    return Check(title=f"the night fits until {night.night.ends:%H:%M}", looks=(look,), judge=judge)


def _planned(steps: Sequence[Step]) -> timedelta:
    """Return the planned time of all steps except archiving, until the product is open again."""
    until = [step.key for step in steps].index(OPEN_AGAIN) + 1
    planned = (step.estimate or timedelta() for step in steps[:until] if step.key != ARCHIVING)
    return sum(planned, timedelta())
