"""All subjects of preflight: each host, each database server, and the services around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inventory.model import Host, Role
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.step import Step
from runbooks.preflight import amazon, archiving, backing_up, checkouts, disks, hosts, servers, services
from runbooks.steps.context import NightContext


def subjects(night: NightContext, steps: Sequence[Step]) -> tuple[Subject, ...]:
    """Return the subjects for a night of these steps."""
    every = night.environment.hosts.values()
    return (
        *(Subject(name=host.name, preconditions=tuple(_on(night, host, steps))) for host in every),
        *(servers.subject(night, host) for host in night.database_hosts),
        services.store(),
        services.archives(night),
        *(services.names(night) for step in steps if step.key == "warehouse.cut-over"),
        services.app(night),
        *services.handover(steps),
        *services.own_steps(steps),
        *amazon.subjects(steps),
    )


def _on(night: NightContext, host: Host, steps: Sequence[Step]) -> Iterator[Precondition]:
    yield hosts.is_itself(night, host)
    yield hosts.clock(host)
    yield from checkouts.same_here_and_there(night, host, steps)
    if Role.DATABASE in host.roles:
        yield disks.room(night, host)
        yield from backing_up.ready(night, host)
    if Role.DEBUG in host.roles:
        yield archiving.catalog(night, host)
        yield archiving.none_half_moved(night, host)
        yield archiving.stragglers(night, host)
        yield archiving.log(night, host)
        yield from archiving.broker(night, host)
        yield from archiving.window(night, host, steps)
