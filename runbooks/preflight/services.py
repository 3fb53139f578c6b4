"""The services that hosts share: the store, the names of the warehouses, the app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runbooks.engine.model.actions import DnsLookup, ProbeOutput, StoreTrial
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.step import Check, Step, Truth, Verdict, fails, holds
from runbooks.steps.context import NightContext
from runbooks.steps.maintenance import OFF, answers
from runbooks.steps.warehouse import address_list, addresses

FOLDER = "preflight"  # in the store
HANDOVER = ("retirement", "app")  # areas of steps


def store() -> Subject:
    """Return the check that the store takes an object, gives it back, and lets no other replace it."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (trial,) = outputs
        if trial.code == 2:
            return fails(f"{trial.text} was replaced by another text: the store ignores If-None-Match")
        if trial.code != 0:
            return fails(f"{trial.text} was read back with different content")
        return holds(f"{trial.text} written and read")

    check = Check(title="the store is written and read", looks=(StoreTrial(folder=FOLDER),), judge=judge)
    advice = "Look at store in the inventory, and at the permissions of the credentials."
    return Subject(name="store", preconditions=(Precondition(check=check, advice=advice),))


def archives(night: NightContext) -> Subject:
    """Return the check that a production encrypts its archives, or says why it need not."""
    environment = night.environment

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        needed = environment.production and environment.store.unencrypted is None
        sentence = environment.store.encryption.removesuffix(".")
        return fails(sentence) if needed and not environment.store.recipients else holds(sentence)

    advice = (
        "Add store/recipients to the inventory (age-keygen makes a key pair), or store/unencrypted with the reason."
    )
    check = Check(title="archives are encrypted, where they must be", looks=(), judge=judge)
    return Subject(name="archives", preconditions=(Precondition(check=check, advice=advice),))


def names(night: NightContext) -> Subject:
    """Return the checks of the warehouses' names: as before a cut-over or, on a later night, as after it."""
    warehouse = night.warehouse
    resolve = Precondition(check=names_known(night), advice="Look at warehouse and dns in the inventory.")
    advice = f"The night would move {warehouse.name}; on a later night of the year this is expected."
    moved = Precondition(check=not_moved(night), advice=advice, stops=(Truth.UNSEEN,))
    return Subject(name="DNS", preconditions=(resolve, moved))


def app(night: NightContext) -> Subject:
    """Return the check that the app is open: what already looks closed can't show that the night closed it."""
    advice = "Step 1 switches maintenance mode on, and is proven by that. Is it on already, or does a proxy answer?"
    return Subject(name="app", preconditions=(Precondition(check=answers(night, OFF), advice=advice),))


def handover(steps: Sequence[Step]) -> Iterator[Subject]:
    """Yield the check that the proofs of the 2013 checklist's own steps can be read, whatever they show yet."""
    advice = "Look at handover/probes in the inventory, and at what they print."
    yield from _readable("handover", [step for step in steps if step.key.split(".")[0] in HANDOVER], advice)


def own_steps(steps: Sequence[Step]) -> Iterator[Subject]:
    """Yield for each of a team's own steps the check that its proofs can be read, whatever they show yet."""
    advice = "Look at its probe in the inventory's own_steps, and at what it prints."
    for step in steps:
        if step.own:
            yield from _readable(step.key, [step], advice)


def _readable(name: str, steps: Sequence[Step], advice: str) -> Iterator[Subject]:
    checks = {str(check): check for step in steps for task in step.tasks for check in task.checks}
    if checks:
        preconditions = tuple(Precondition(check=seen(check), advice=advice) for check in checks.values())
        yield Subject(name=name, preconditions=preconditions)


def seen(check: Check) -> Check:
    """Return a check that holds if the given one can be judged at all."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        return holds(check.judge(outputs, facts).proof)

    return Check(title=f"it can be checked whether {check.title}", looks=check.looks, judge=judge)


def names_known(night: NightContext) -> Check:
    """Return the check that both farms have addresses of their own, and the product's name one of them."""
    warehouse = night.warehouse
    asked = (warehouse.name, warehouse.old_target, warehouse.new_target)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        name, old, new = (addresses(outputs[0], each) for each in asked)
        for target, resolved in ((warehouse.old_target, old), (warehouse.new_target, new)):
            if not resolved:
                return fails(f"{target} does not resolve")
        if old & new:
            return fails(
                f"{warehouse.old_target} and {warehouse.new_target} share the address {address_list(old & new)}"
            )
        if not name or not (name <= old or name <= new):
            return fails(
                f"{warehouse.name} is {address_list(name)}, expected {address_list(old)} ({warehouse.old_target})"
            )
        return holds(f"{warehouse.old_target} is {address_list(old)}, {warehouse.new_target} is {address_list(new)}")

    title = f"{warehouse.old_target} and {warehouse.new_target} resolve, and {warehouse.name} to one of them"
    return Check(title=title, looks=(DnsLookup(names=asked),), judge=judge)


def not_moved(night: NightContext) -> Check:
    """Return the check that the product's name still leads to the old farm."""
    warehouse = night.warehouse
    asked = (warehouse.name, warehouse.old_target)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        name, old = (addresses(outputs[0], each) for each in asked)
        sentence = f"{warehouse.name} is {address_list(name)}"
        if not (name and name <= old):
            return fails(f"{sentence}, expected {address_list(old)} ({warehouse.old_target})")
        return holds(f"{sentence} ({warehouse.old_target})")

    title = f"{warehouse.name} resolves as {warehouse.old_target}"
    return Check(title=title, looks=(DnsLookup(names=asked),), judge=judge)
