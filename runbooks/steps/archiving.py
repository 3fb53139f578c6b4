"""Archiving: the point of no return. It runs on the debug host, which starts this tool there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from formatting import plural
from inventory.keys import word_of_json
from inventory.model import Role
from runbooks.cli.options import CELERY
from runbooks.cli.self_command import tool_command
from runbooks.engine.model.actions import DetachedJob, ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import record, records
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.steps.backups import loss
from runbooks.steps.context import NightContext, builds
from runbooks.steps.replicas import nothing_left_over
from runbooks.steps.scope import counted_on_debug

LONGEST = timedelta(hours=60)
AUDIT_TIME = timedelta(minutes=15)
HALF_WAY = ("deleting", "restoring")  # a record's states while rows are being deleted or restored


@builds("archiving.run")
def run(night: NightContext, key: str) -> Step:
    """Run archiving script on the debug host: the point of no return."""
    host = night.environment.only(Role.DEBUG)
    archive = tool_command(
        night.environment,
        "archive.all",
        date=night.date.isoformat(),
        here=True,
        scope=night.scope.text,
        yes_production=night.environment.production,
        **_by_workers(night),
    )
    action = DetachedJob(host=host.name, command=archive, timeout=LONGEST, tenants_option="--schools")
    return Step(
        key=key,
        title="Run archiving script",
        mark=Mark.AUTOMATE,
        tasks=(
            night.task(
                key,
                host,
                checks=(all_archived(night),),
                needs=(counted_on_debug(night.environment, night.date), *nothing_left_over(night)),
                action=action,
            ),
        ),
        required=True,
        point_of_no_return=True,
        warning=(*scope_lines(night), night.environment.store.encryption, *loss(night)),
        estimate=timedelta(hours=1),
    )


def _by_workers(night: NightContext) -> dict[str, str]:
    """Return the engine that prepares archives, if the inventory counts on workers of several machines."""
    queue = night.environment.queue
    return {"engine": CELERY, "workers": str(queue.workers)} if queue and queue.workers else {}


def scope_lines(night: NightContext) -> tuple[str, ...]:
    """Return which schools the night archives, to which depth, which are left out, and the digest that seals it."""
    exclude = night.night.exclude
    parts = (("school", night.noun, exclude.schools), ("customer", "customer", exclude.customers))
    named = [f"{plural(noun)} {exclude.named(key, ids)}" for key, noun, ids in parts if ids]
    scope = night.scope
    only = f"Only {night.night.only.text(night.noun)}" if night.night.only else f"Every {night.noun}"
    return (
        f"{only} of {night.year}-{(night.year + 1) % 100:02}, depth {night.night.depth} "
        f"({night.meaning_of(night.night.depth)}); left out: {' and '.join(named) or 'none'}.",
        *_own_depths(night),
        f"Scope {scope.digest}: catalog {scope.catalog}, version {scope.version}.",
    )


def _own_depths(night: NightContext) -> Iterable[str]:
    """Yield each depth that some schools or customers have for themselves, with their ids."""
    own = night.night.depths
    for depth in dict.fromkeys((*own.customers.values(), *own.schools.values())):
        named = [
            f"{noun} {', '.join(str(each) for each, wanted in depths.items() if wanted == depth)}"
            for noun, depths in (("customers", own.customers), (plural(night.noun), own.schools))
            if depth in depths.values()
        ]
        yield f"Depth {depth} ({night.meaning_of(depth)}) for {' and '.join(named)}."


def all_archived(night: NightContext) -> Check:
    """Return the check that every selected school has a record and none of its rows due for deletion is left."""
    host = night.environment.only(Role.DEBUG).name
    day, scope = night.date.isoformat(), night.scope.text
    audit = tool_command(night.environment, "archive.audit", date=day, scope=scope, json=True)
    look = RemoteCommand(host=host, command=audit, timeout=AUDIT_TIME)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        audit = record(outputs[0], "selected", "archived", "excluded", "unarchived", "left")
        counted = f"{audit['archived']} of {audit['selected']} {plural(night.noun)} have a record"
        if audit["archived"] != audit["selected"] or audit["unarchived"]:
            return fails(f"{counted}; not yet: {_some(audit['unarchived'])}")
        if missing := audit.get("missing"):  # an older version on the debug host does not look
            return fails(f"{counted}; not in the store as they were stored: archives of {_some(missing)}")
        if audit["left"]:
            return fails(f"{counted}; rows are left of {_some(audit['left'])}")
        if otherwise := audit.get("otherwise"):
            return fails(f"{counted}; archived to another depth than the night's: {_some(otherwise)}")
        if elsewhere := audit.get("elsewhere"):
            return fails(f"{counted}; the catalog does not know columns that refer to their rows: {_some(elsewhere)}")
        figures = {key: audit[key] for key in ("selected", "excluded", "rows", "size") if key in audit}
        proof = f"{counted}, none of their rows is left; {audit['excluded']} left out"
        if dangling := audit.get("dangling"):  # of other archives than this night's
            proof += f"; live rows refer to what was deleted by {', '.join(dangling)}"
        return holds(proof, **figures)

    return Check(
        title=f"every selected {night.noun} has a record, and none of its rows is left", looks=(look,), judge=judge
    )


def none_half_way(night: NightContext) -> Check:
    """Return the check that no school is being deleted or restored: the product must not be used meanwhile."""
    host = night.environment.only(Role.DEBUG).name
    looks = tuple(
        RemoteCommand(host=host, command=tool_command(night.environment, "archive.list", state=state, json=True))
        for state in HALF_WAY
    )

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        half_way = [
            f"{word_of_json(tenant['tenant_id'])} ({state})"
            for state, output in zip(HALF_WAY, outputs, strict=True)
            for tenant in records(output, "tenant_id")
        ]
        if half_way:
            hint = "inv archive.school completes a deletion, inv restore.school a restore"
            return fails(
                f"a deletion or restore is incomplete for these {plural(night.noun)}: {_some(half_way)}; {hint}"
            )
        return holds(f"no {night.noun} is being deleted or restored")

    return Check(title=f"no {night.noun} is deleting or restoring", looks=looks, judge=judge)


def _some(ids: Iterable[object]) -> str:
    names = [word_of_json(each) for each in ids]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
