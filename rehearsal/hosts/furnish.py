"""The lab's hosts before the first login: HOME, name, commands, environment, and everything in its normal state."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from rehearsal import zone
from rehearsal.blueprint import PRODUCT, ROLE, Blueprint, LabHost
from rehearsal.hosts.checkout import check_out
from rehearsal.hosts.command import HOST_NAME_FILE
from rehearsal.hosts.heroku_app import start_app, warehouse_url
from rehearsal.hosts.release import AUTO_ENROLL, REPORTING
from rehearsal.hosts.switch_scripts import schedule, switch_scripts
from rehearsal.hosts.switches import DEPLOYED, DISABLED, ENABLED, LARGE, LINKED, OFF, REVERTED, put
from rehearsal.layout import VARIABLE
from rehearsal.ports import LOOPBACK

DATABASE, DEBUG = "database", "debug"
COMMANDS: Mapping[str, Mapping[str, str]] = {  # by role: the command and its module
    "control": {"ttmscalr": "ttmscalr", "dns-upsert": "dns_upsert", "heroku": "heroku_app", "release": "release"},
    "watcher": {"system-watcher": "watcher"},
    "warehouse": {
        "warehouse": "warehouse",
        "dns-upsert": "dns_upsert",
        "ttmscalr": "ttmscalr",
        "heroku": "heroku_farm",
    },
    DATABASE: {
        "backup": "backup",
        "standby": "standby",
        "snapshot": "snapshot",
    },
}
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FARM_ADDRESSES = "127.0.1.{}"  # a farm's DNS name leads to the address its host listens on
FIRST_FARM = 11


def farm_addresses(old: str, new: str) -> dict[str, str]:
    """Return the addresses of the two warehouses; they differ, so that a name shows which one it leads to."""
    return {host: FARM_ADDRESSES.format(FIRST_FARM + number) for number, host in enumerate((old, new))}


def furnish(lab: Blueprint) -> None:
    """Create every host's folder and the switches between the hosts."""
    for host in lab.hosts:
        home = lab.layout.host(host.name)
        (home / "bin").mkdir(parents=True)
        if DEBUG in host.roles:
            check_out(Path(lab.root), lab.layout.checkout(host.name))
        (home / HOST_NAME_FILE).write_text(f"{host.name}\n", encoding="utf-8")
        for name, script in _scripts(lab, host).items():
            path = home / "bin" / name
            path.write_text(script, encoding="utf-8")
            path.chmod(0o755)
    _switch_to_normal(lab)


def environment(lab: Blueprint, host: LabHost) -> dict[str, str]:
    """Return the complete environment of a command on a host."""
    home = lab.layout.host(host.name)
    tools = [lab.postgres_bin] if {DATABASE, DEBUG} & set(host.roles) else []
    env = {
        "HOME": str(home),
        "PATH": ":".join([str(home / "bin"), *tools, SYSTEM_PATH]),
        "USER": host.user,
        "LOGNAME": host.user,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        **lab.mark,
    }
    if DATABASE in host.roles:
        env |= _database_environment(lab, host)
    if DEBUG in host.roles:
        env[VARIABLE] = lab.home
    return env


def _database_environment(lab: Blueprint, host: LabHost) -> dict[str, str]:
    port = str(lab.database_on(host.name).port)
    address = {"PGHOST": LOOPBACK, "PGPORT": port, "PGDATABASE": PRODUCT}
    return {**address, "PGUSER": ROLE, "PGPASSFILE": str(lab.layout.passfile)}


def _scripts(lab: Blueprint, host: LabHost) -> dict[str, str]:
    """Return the commands on a host's PATH: its switches, and short scripts that start this Python."""
    root, python = shlex.quote(lab.root), shlex.quote(lab.python)
    switches = switch_scripts(lab, host)
    scripts = {name: script for role in host.roles for name, script in switches.get(role, {}).items()}
    scripts |= {
        name: f'#!/bin/sh\nexport PYTHONPATH={root}\nexec {python} -m rehearsal.hosts.{module} "$@"\n'
        for role in host.roles
        for name, module in COMMANDS.get(role, {}).items()
    }
    if {DATABASE, DEBUG} & set(host.roles):  # the tool itself is installed on these hosts
        home = shlex.quote(lab.home)
        if DEBUG in host.roles:
            root = shlex.quote(str(lab.layout.checkout(host.name)))
        scripts["inv"] = f'#!/bin/sh\nexport {VARIABLE}={home}\ncd {root} || exit 1\nexec {python} -m invoke "$@"\n'
    return scripts


def _switch_to_normal(lab: Blueprint) -> None:
    layout = lab.layout
    layout.world.mkdir()
    put(layout.maintenance, OFF)
    put(layout.etl(lab.farms.old), ENABLED)
    put(layout.etl(lab.farms.new), DISABLED)
    for farm in lab.farms.targets:
        put(layout.farm_name(farm), farm)
        put(layout.dynos(farm), "1")
        put(layout.size(farm), LARGE)
    put(layout.feature(AUTO_ENROLL), DEPLOYED)
    put(layout.feature(REPORTING), REVERTED)
    put(layout.warehouse_link, LINKED)
    put(layout.configured, warehouse_url(lab.farms.targets[lab.farms.old]))
    start_app(layout)
    for database in lab.databases:
        put(schedule(layout.host(database.host)), ENABLED)
    zone.write(layout.zone, _names(lab))


def _names(lab: Blueprint) -> dict[str, zone.Entry]:
    farms = lab.farms
    entries = [zone.Entry(name, "A", lab.host(host).address) for host, name in farms.targets.items()]
    entries.append(zone.Entry(farms.name, "CNAME", farms.targets[farms.old]))
    return {entry.name: entry for entry in entries}
