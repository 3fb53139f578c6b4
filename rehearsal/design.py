"""Draws a lab from the rehearsal's inventory: pure except for a look at this machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from inventory.load import ROOT, load
from inventory.model import Environment, Role, Warehouse
from rehearsal.blueprint import Blueprint, Farms, LabDatabase, LabHost
from rehearsal.hosts.furnish import farm_addresses
from rehearsal.ports import LOOPBACK
from rehearsal.postgres_programs import Programs
from rehearsal.s3_server import PORTS_NEEDED

ENVIRONMENT = "rehearsal"


def inventory() -> Environment:
    """Return the inventory that the lab has to match."""
    return load(ENVIRONMENT)


def ports_needed(environment: Environment) -> int:
    """Return the number of ports: two for each database, one for scratch, and those of the store."""
    return 2 * len(environment.databases) + 1 + PORTS_NEEDED


def draw(environment: Environment, home: Path, programs: Programs, postgres: Path, ports: Sequence[int]) -> Blueprint:
    """Return the blueprint of a lab; the first ports are the standbys'."""
    count = len(environment.databases)
    standbys, primaries, scratch = ports[:count], ports[count : 2 * count], ports[2 * count]
    databases = zip(environment.databases.values(), primaries, standbys, strict=True)
    return Blueprint(
        home=str(home),
        root=str(ROOT),
        python=sys.executable,
        postgres=str(postgres),
        postgres_bin=str(programs.bin),
        postgres_user=programs.user,
        hosts=_hosts(environment),
        databases=tuple(
            LabDatabase(name=database.name, host=database.host, port=port, standby_port=standby_port)
            for database, port, standby_port in databases
        ),
        scratch_port=scratch,
        farms=_farms(environment),
        store_ports=tuple(ports[2 * count + 1 :]),
        bucket=environment.store.bucket,
        region=environment.store.region,
        watcher=environment.with_role(Role.WATCHER)[0].name,
    )


def _hosts(environment: Environment) -> tuple[LabHost, ...]:
    warehouse = _warehouse(environment)
    farms = farm_addresses(warehouse.old, warehouse.new)
    return tuple(
        LabHost(
            name=host.name,
            address=farms.get(host.name, LOOPBACK),
            user=host.user,
            roles=tuple(role.value for role in host.roles),
        )
        for host in environment.hosts.values()
    )


def _warehouse(environment: Environment) -> Warehouse:
    assert environment.warehouse is not None  # a lab is made for nights
    return environment.warehouse


def _farms(environment: Environment) -> Farms:
    warehouse = _warehouse(environment)
    targets = {warehouse.old: warehouse.old_target, warehouse.new: warehouse.new_target}
    return Farms(old=warehouse.old, new=warehouse.new, name=warehouse.name, targets=targets)
