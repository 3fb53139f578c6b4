"""The data warehouses: their ETL, the names that move from the old one to the new one, and the rebuild."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from inventory.model import Host, Role
from runbooks.engine.model.actions import Action, DnsLookup, MoveNames, ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.probe_output import Unreadable, not_before, past_moment, record, word
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import Build, NightContext, builds
from runbooks.steps.old_farm import owed_after_cut_over

DEBT = Debt(what="ETL", where="the warehouse")
IN_SYNC_WITHIN = timedelta(minutes=10)  # usually a minute
ENABLED, DISABLED = "enabled", "disabled"


@builds("warehouse.stop-etl")
def stop_etl(night: NightContext, key: str) -> Step:
    """Kill data warehouse ETL."""
    host = night.environment.only(Role.CONTROL)
    checks = tuple(etl_is(night, warehouse, DISABLED) for warehouse in night.warehouses)
    return Step(
        key=key,
        title="Kill data warehouse ETL",
        mark=Mark.AUTOMATE,
        tasks=(night.task(key, host, checks=checks, owes=DEBT),),
        required=True,
        estimate=timedelta(minutes=2),
    )


@builds("warehouse.cut-over")
def cut_over(night: NightContext, key: str) -> Step:
    """Data warehouse cut over."""
    return Step(
        key=key,
        title="Data warehouse cut over",
        mark=Mark.MANUAL,
        tasks=(
            night.task(
                key,
                night.new_warehouse,
                checks=(names_moved(night),),
                lasts=timedelta(minutes=30),
                action=by_api(night),
                owes=owed_after_cut_over(night),
            ),
        ),
        required=True,
        settle=timedelta(minutes=20),  # until name servers have dropped the old answers, and Route 53's "no such name"
        estimate=timedelta(minutes=15),
    )


def by_api(night: NightContext) -> Action | None:
    """Return how Route 53 moves the names; None if the inventory names no zone."""
    aws = night.environment.aws
    if aws is None or aws.zone is None:
        return None
    return MoveNames(
        host=night.new_warehouse.name, zone=aws.zone, targets=targets(night), ttl=aws.ttl, timeout=IN_SYNC_WITHIN
    )


def targets(night: NightContext) -> dict[str, str]:
    """Return the names that the cut-over moves, each with the farm it then leads to."""
    warehouse = night.warehouse
    old_name = warehouse.old_name.replace("{year}", str(night.year))
    return {warehouse.name: warehouse.new_target, old_name: warehouse.old_target}


@builds("warehouse.rebuild")
def rebuild(night: NightContext, key: str) -> Step:
    """Data warehouse rebuild."""
    checks = (rebuilt(night), *_etl_only_on(night, night.new_warehouse))
    needs = (etl_is(night, night.old_warehouse, DISABLED),)  # else its proof fails after hours
    return Step(
        key=key,
        title="Data warehouse rebuild",
        mark=Mark.MANUAL,
        tasks=(night.task(key, night.new_warehouse, checks=checks, needs=needs, lasts=timedelta(hours=12), pays=DEBT),),
        settle=timedelta(minutes=10),
        estimate=timedelta(hours=2),
    )


def start_etl(warehouse: Host) -> Build:
    """Return how the ETL is enabled again on the warehouse in use, if a night is abandoned."""

    @builds("warehouse.start-etl")
    def build(night: NightContext, key: str) -> Step:
        """Enable the ETL on the warehouse in use again, if a night is abandoned."""
        return Step(
            key=key,
            title="Enable data warehouse ETL again",
            mark=Mark.MANUAL,
            tasks=(night.task(key, warehouse, checks=_etl_only_on(night, warehouse), pays=DEBT),),
            settle=timedelta(minutes=2),
            estimate=timedelta(minutes=5),
        )

    return build


def moved(night: NightContext, history: History) -> bool:
    """True if this night has turned to the new warehouse, by whichever checklist it follows."""
    turns = (("warehouse.cut-over", night.new_warehouse), ("app.point", night.environment.only(Role.CONTROL)))
    return any(history.task_state(step, host.name).outcome is Outcome.DONE for step, host in turns)


def new_in_use(steps: Iterable[Step]) -> tuple[Check, ...]:
    """Return the checks that show whether the new warehouse is in use, as it is throughout a later night of a year."""
    turns = ("warehouse.cut-over", "app.point")
    return tuple(check for step in steps if step.key in turns for task in step.tasks for check in task.checks)


def at_most_one_etl(night: NightContext) -> Check:
    """Return the check that must hold at all times: two ETLs would fill two warehouses from one source."""
    hosts = night.warehouses

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        states = [_etl(host, output) for host, output in zip(hosts, outputs, strict=True)]
        enabled = [host.name for host, state in zip(hosts, states, strict=True) if state == ENABLED]
        if len(enabled) > 1:
            return fails(f"It is enabled on {' and '.join(enabled)}.")
        return holds(f"ETL is enabled on {enabled[0] if enabled else 'no warehouse'}")

    looks = tuple(_etl_look(night, host) for host in hosts)
    return Check(title="ETL is enabled on at most one warehouse", looks=looks, judge=judge)


def etl_is(night: NightContext, host: Host, expected: str) -> Check:
    """Return the check that the ETL of a warehouse is enabled, or disabled."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        state = _etl(host, outputs[0])
        sentence = f"ETL is {state} on {host.name}"
        return holds(sentence) if state == expected else fails(f"{sentence}, expected {expected}")

    return Check(title=f"ETL is {expected} on {host.name}", looks=(_etl_look(night, host),), judge=judge)


def rebuilt(night: NightContext) -> Check:
    """Return the check that the new warehouse's rebuild has finished in this run."""
    look = RemoteCommand(host=night.new_warehouse.name, command=night.probes.rebuild)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        rebuild = record(outputs[0], "state")
        if rebuild["state"] != "finished":
            return fails(f"the rebuild is {rebuild['state']}")
        finished, began = past_moment(rebuild.get("finished_at"), facts.now), facts.history.began
        if began is None or not not_before(finished, began):
            return fails(f"the last rebuild finished at {finished:%Y-%m-%d %H:%M}, before this night")
        return holds(f"the rebuild finished at {finished:%H:%M:%S} UTC")

    return Check(title="the rebuild has finished in this run", looks=(look,), judge=judge)


def names_moved(night: NightContext) -> Check:
    """Return the check that both names lead to the farms they should."""
    warehouse, moves = night.warehouse, targets(night)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        addresses_of = {name: addresses(outputs[0], name) for pair in moves.items() for name in pair}
        for target in moves.values():
            if not addresses_of[target]:
                raise Unreadable(f"{target} does not resolve")
        if addresses_of[warehouse.old_target] & addresses_of[warehouse.new_target]:
            raise Unreadable("both farms resolve to the same address")
        wrong = [
            f"{name} is {address_list(addresses_of[name])}, expected {address_list(addresses_of[target])} ({target})"
            for name, target in moves.items()
            if not (addresses_of[name] and addresses_of[name] <= addresses_of[target])
        ]
        if wrong:
            return fails("; ".join(wrong))
        return holds(
            "; ".join(f"{name} is {address_list(addresses_of[name])} ({target})" for name, target in moves.items())
        )

    title = "; ".join(f"{name} resolves as {target}" for name, target in moves.items())
    look = DnsLookup(names=(warehouse.name, *moves.values()), new=tuple(moves.keys() - {warehouse.name}))
    return Check(title=title, looks=(look,), judge=judge)


def _etl_only_on(night: NightContext, only: Host) -> tuple[Check, ...]:
    others = [host for host in night.warehouses if host != only]
    return (etl_is(night, only, ENABLED), *(etl_is(night, host, DISABLED) for host in others))


def _etl_look(night: NightContext, host: Host) -> RemoteCommand:
    return RemoteCommand(host=host.name, command=night.probes.etl)


def _etl(host: Host, output: ProbeOutput) -> str:
    try:
        return word(output, (ENABLED, DISABLED))
    except Unreadable as error:
        raise Unreadable(f"ETL on {host.name}: {error}") from error


def addresses(output: ProbeOutput, name: str) -> set[str]:
    """Return the addresses that a name resolves to."""
    return {str(address) for asked, address in output.rows if asked == name}


def address_list(addresses: set[str]) -> str:
    """Return addresses as a person reads them."""
    return ", ".join(sorted(addresses)) or "unknown"
