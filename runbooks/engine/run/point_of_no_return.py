"""The point of no return: all earlier steps done, proofs checked again, the word typed, a second person's approval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from errors import AbortedError, RefusedError, UnknownError, UsageError
from inventory.figures import Figures
from runbooks.engine.model.debts import summed
from runbooks.engine.model.history import Word
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import SETTLED, Outcome
from runbooks.engine.model.step import HostTask, Step, Truth, Verdict, together
from runbooks.engine.model.waiting import asked
from runbooks.engine.reporting.figures_text import end_line, figure_lines
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.fanout import fan_out


def pass_point(context: RunContext, step: Step) -> None:
    """Let an irreversible step begin.

    Raises UsageError if an earlier step is not done, RefusedError or UnknownError if a proof no longer holds or can't
    be checked, AbortedError if the operator does not type the word.
    """
    _refuse_undone(context, step)
    gates = [gate for gate in context.plan.before(step) if gate.gate]
    proven = [_proven_again(context, step, gate) for gate in gates]
    needed = _needed(context, step)
    scope = ".".join(filter(None, [context.plan.scope_digest, str(needed.figures.get("schools", ""))]))
    if not _holds(context, context.history().confirmed.get(step.key), scope):
        _confirm(context, step, [*filter(None, [needed.proof]), *_counted(context, needed), *proven], scope)
    if context.plan.approve and not _is_approved(context, step, scope):
        _await_approval(context, step, scope)


def _needed(context: RunContext, step: Step) -> Verdict:
    """Return the verdict that the step could begin. Raises RefusedError or UnknownError if it could not."""
    facts, needs = context.facts(), [check for task in step.tasks for check in task.needs]
    looks = [lambda check=check: context.executor.look(check, facts, expected=True) for check in needs]
    verdict = together(fan_out(looks, limit=context.max_parallel, on_interrupt=context.executor.interrupt))
    if not verdict.holds:
        kind = RefusedError if verdict.truth is Truth.FAILS else UnknownError
        raise kind(f"{step.title} can't begin: {verdict.proof}.", hint=f"Fix it, then {context.plan.go_on}")
    return verdict


def _counted(context: RunContext, needed: Verdict) -> Iterator[str]:
    """Yield the figures of this moment, with those of the night's beginning where they were others, and the end."""
    figures, began = needed.figures.get("figures"), context.history().figures
    if isinstance(figures, Figures):
        yield from figure_lines(figures, context.plan.zone, began)
        if began is None:
            yield "These figures were not counted when the night began."
    if seen := context.forecast():
        yield f"{end_line(seen)}."


def _holds(context: RunContext, word: Word | None, scope: str) -> bool:
    """True if a word was given for this scope, in this night."""
    if word is None or word.scope != scope:
        return False
    return context.clock.now() < context.plan.word_ends(word.at)


def _is_approved(context: RunContext, step: Step, scope: str) -> bool:
    """True if the date was approved after it was last typed, and the approval still holds."""
    history = context.history()
    approval = history.approved.get(step.key)
    return (
        approval is not None
        and approval.number > history.confirmed[step.key].number
        and _holds(context, approval, scope)
    )


def _refuse_undone(context: RunContext, step: Step) -> None:
    undone = [text for earlier in context.plan.before(step) if (text := _undone(context, earlier))]
    if undone:
        message = f"{step.title} can't be undone, and these earlier steps are not done: {', '.join(undone)}."
        raise UsageError(message, hint=f"{context.plan.resume} does them first.")


def _undone(context: RunContext, step: Step) -> str:
    """Return the step with the hosts on which it failed or is unknown; empty if it is settled."""
    outcomes = {task.host: context.task_state(step, task).outcome for task in step.tasks}
    wrong = [f"{host} {outcome.value}" for host, outcome in outcomes.items() if outcome not in _NOT_WRONG]
    if all(outcome in SETTLED for outcome in outcomes.values()):
        return ""
    return f"{step.key} ({', '.join(wrong)})" if wrong else step.key


def _proven_again(context: RunContext, step: Step, gate: Step) -> str:
    """Return the statement that all proofs of a gate still hold. Raises RefusedError or UnknownError if not."""
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
        head = f"{step.title} can't be undone, and {gate.title} is no longer verified:"
        kind = RefusedError if any(verdict.truth is Truth.FAILS for verdict in verdicts) else UnknownError
        raise kind("\n".join([head, *wrong]), hint=f"Fix it: {context.plan.alone(gate)}. Then {context.plan.go_on}")
    return f"{gate.gate}: {len(verdicts)} of {len(verdicts)}"


def _confirm(context: RunContext, step: Step, proven: Sequence[str], scope: str) -> None:
    off = f"Switched off now: {summed(context.debts())}."
    statements = (*step.warning, *proven, *_left_out(context, step), "unknown: none; failed: none", off)
    confirmed = context.person.confirm(step, statements, context.plan.date)
    context.journal.append(Kind.ANSWER, step=step.key, confirmed=confirmed, statements=statements, scope=scope)
    if not confirmed:
        message = f"Aborted by the operator before {step.title}, which was not begun."
        raise AbortedError(message, hint=context.next_step_hint())


def _left_out(context: RunContext, step: Step) -> Iterator[str]:
    for earlier in context.plan.before(step):
        hosts = [task.host for task in earlier.tasks if context.task_state(earlier, task).outcome is Outcome.SKIPPED]
        if hosts:
            yield f"skipped: {earlier.title} on {', '.join(hosts)}"


def _await_approval(context: RunContext, step: Step, scope: str) -> None:
    history = context.history()
    run, typed = history.run, history.confirmed[step.key]
    second = f"a second person (not {typed.operator})"
    asked(context.journal, step=step.key, who=second, what=f"to approve it: {context.plan.approve}")
    context.screen.warn(f"Waiting for a second person, not {typed.operator}: {context.plan.approve}")
    [approver] = fan_out(
        [lambda: context.approvals.approver(run, typed)], limit=1, on_interrupt=context.executor.interrupt
    )
    context.journal.append(Kind.ANSWER, step=step.key, approved=approver, scope=scope)
    context.screen.say(f"  approved by {approver}")


_NOT_WRONG = (*SETTLED, Outcome.PENDING)
