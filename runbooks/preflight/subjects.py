"""Everything that preflight looks at: each host, each database server, and the services around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inventory.model import Host, Role
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.step import Step
from runbooks.preflight import amazon, archiving, backing_up, disks, hosts, servers, services
from runbooks.steps.context import Tonight


def subjects(tonight: Tonight, steps: Sequence[Step]) -> tuple[Subject, ...]:
    """All of them, for a night of these steps."""
    every = tonight.environment.hosts.values()
    return (
        *(Subject(name=host.name, preconditions=tuple(_on(tonight, host, steps))) for host in every),
        *(servers.subject(tonight, host) for host in tonight.database_hosts),
        services.store(),
        *(services.names(tonight) for step in steps if step.key == "warehouse.cut-over"),
        services.app(tonight),
        *services.handover(steps),
        *amazon.subjects(steps),
    )


def _on(tonight: Tonight, host: Host, steps: Sequence[Step]) -> Iterator[Precondition]:
    yield hosts.is_itself(tonight, host)
    yield hosts.clock(host)
    if Role.DATABASE in host.roles:
        yield disks.room(tonight, host)
        yield from backing_up.ready(tonight, host)
    if Role.DEBUG in host.roles:
        yield archiving.catalog(tonight, host)
        yield archiving.none_half_moved(tonight, host)
        yield from archiving.broker(tonight, host)
        yield from archiving.window(tonight, host, steps)
