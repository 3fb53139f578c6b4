"""Past the point of no return: all before it done and proven once more, the word typed, a second person heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from errors import AbortedError, RefusedError, UnknownError, UsageError
from runbooks.engine.model.debts import summed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import SETTLED, Outcome
from runbooks.engine.model.step import HostTask, Step, Truth, Verdict, together
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.fanout import fan_out


def pass_point(context: RunContext, step: Step) -> None:
    """Lets an irreversible step begin.

    Raises UsageError where a step before it is not done, RefusedError or UnknownError where a proof does not hold any
    more or can't be seen, AbortedError where the operator does not type the word.
    """
    _refuse_undone(context, step)
    gates = [gate for gate in context.plan.before(step) if gate.gate]
    proven = [_proven_again(context, step, gate) for gate in gates]
    if step.key not in context.history().confirmed:
        _confirm(context, step, proven)
    if context.plan.approve and step.key not in context.history().approved:
        _hear_second_person(context, step)


def _refuse_undone(context: RunContext, step: Step) -> None:
    undone = [said for earlier in context.plan.before(step) if (said := _undone(context, earlier))]
    if undone:
        message = f"{step.title} can't be undone, and these steps before it are not done: {', '.join(undone)}."
        raise UsageError(message, hint=f"{context.plan.resume} does them first.")


def _undone(context: RunContext, step: Step) -> str:
    """The step, with the hosts on which it failed or is unknown; empty where it is settled."""
    outcomes = {task.host: context.task_state(step, task).outcome for task in step.tasks}
    wrong = [f"{host} {outcome.value}" for host, outcome in outcomes.items() if outcome not in _INNOCENT]
    if all(outcome in SETTLED for outcome in outcomes.values()):
        return ""
    return f"{step.key} ({', '.join(wrong)})" if wrong else step.key


def _proven_again(context: RunContext, step: Step, gate: Step) -> str:
    """The statement that all of a gate's proofs hold still."""
    facts = context.facts()

    def look(task: HostTask) -> Verdict:
        return together(context.executor.look(check, facts, expected=True) for check in task.checks)

    work = [lambda task=task: look(task) for task in gate.tasks]
    verdicts = fan_out(work, limit=min(gate.limit, context.max_parallel), on_interrupt=context.executor.interrupt)
    wrong = [
        f"  - {task.host}: {verdict.proof}"
        for task, verdict in zip(gate.tasks, verdicts, strict=True)
        if not verdict.holds
    ]
    if wrong:
        head = f"{step.title} can't be undone, and before it {gate.title} is not proven any more:"
        kind = RefusedError if any(verdict.truth is Truth.FAILS for verdict in verdicts) else UnknownError
        raise kind("\n".join([head, *wrong]), hint=f"Put it right (inv {gate.key}), then {context.plan.go_on}")
    return f"{gate.gate}: {len(verdicts)} of {len(verdicts)}"


def _confirm(context: RunContext, step: Step, proven: Sequence[str]) -> None:
    off = f"Switched off now: {summed(context.debts())}."
    statements = (*step.warning, *proven, *_left_out(context, step), "unknown: none; failed: none", off)
    confirmed = context.person.confirm(step, statements, context.plan.date)
    context.journal.append(Kind.ANSWER, step=step.key, confirmed=confirmed, statements=statements)
    if not confirmed:
        message = f"Aborted by the operator before {step.title}, which was not begun."
        raise AbortedError(message, hint=context.next_step_hint())


def _left_out(context: RunContext, step: Step) -> Iterator[str]:
    for earlier in context.plan.before(step):
        hosts = [task.host for task in earlier.tasks if context.task_state(earlier, task).outcome is Outcome.SKIPPED]
        if hosts:
            yield f"skipped: {earlier.title} on {', '.join(hosts)}"


def _hear_second_person(context: RunContext, step: Step) -> None:
    history = context.history()
    run, typist = history.run, history.confirmed[step.key]
    context.screen.warn(f"Waiting for a second person, not {typist}: {context.plan.approve}")
    [who] = fan_out([lambda: context.approvals.approver(run, typist)], limit=1, on_interrupt=context.executor.interrupt)
    context.journal.append(Kind.ANSWER, step=step.key, approved=who)
    context.screen.say(f"  approved by {who}")


_INNOCENT = (*SETTLED, Outcome.PENDING)
