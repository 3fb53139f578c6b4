"""This machine, and every other one that runs this tool: version, keys, passwords, store, clock and disk."""

from __future__ import annotations

import json
import platform
import shlex
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from archiver.format import encryption
from archiver.postgres.operator import TOOL_VERSION
from archiver.runs.setup import spool_folder
from errors import CutoverError, Problems, UsageError
from formatting import many, size
from inventory.files import read_text
from inventory.load import ROOT
from inventory.model import Environment, Host, Role
from inventory.scope import version
from runbooks.cli.debug_host import own_name
from runbooks.cli.self_command import tool_command
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand, SqlQuery
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import CLOCKS_APART, Precondition, Subject
from runbooks.engine.model.probe_output import Unreadable, complaint
from runbooks.engine.model.step import Check, Verdict, fails, holds
from runbooks.preflight import hosts, services
from runbooks.preflight.local import local
from runbooks.preflight.passwords import passwords

PATIENCE = timedelta(minutes=2)
SPARE = 1_000_000_000  # bytes free, at least, where archives are packed
NOW = "SELECT extract(epoch FROM clock_timestamp())::bigint"
VERSION = "version"  # a look whose finding two machines must share


def this_machine(environment: Environment) -> tuple[Subject, ...]:
    """Return what must hold of this machine to run the tool for an environment."""
    connections = {name: database.connection for name, database in environment.databases.items()}
    connections["scratch"] = environment.scratch.connection
    keys = "Look at ssh and store/recipients in the inventory; docs/install.md has the steps."
    looks = (
        local("its version is known", _version, ""),
        local("its name is known", lambda: _name(environment), "docs/install.md, step 4."),
        local("keys", lambda: _keys(environment), keys),
        passwords(connections),
        local("disk", lambda: _disk(environment), "Make room there; TMPDIR selects another folder."),
    )
    names = (VERSION, "name", "keys", "pgpass", "disk")
    return (
        *(Subject(name=name, preconditions=(look,)) for name, look in zip(names, looks, strict=True)),
        Subject(name="clock", preconditions=(_clock(environment),)),
        services.store(),
    )


def other_machines(environment: Environment) -> Iterator[Subject]:
    """Yield the other hosts that run this tool, which each looks at itself."""
    for host in tool_hosts(environment):
        if own_name(environment) != host.name:
            yield Subject(name=host.name, preconditions=(_itself(environment, host), hosts.clock(host)))


def tool_hosts(environment: Environment) -> tuple[Host, ...]:
    """Return the hosts that run this tool: the one that archives, and the servers if it backs up or vacuums there."""
    tool = shlex.split(environment.tool)
    by_tool = any(command.split()[: len(tool)] == tool for command in environment.commands.values())
    servers = environment.with_role(Role.DATABASE) if environment.backups or by_tool else ()
    return tuple(host for host in (environment.archiver_host, *servers) if host)


def _itself(environment: Environment, host: Host) -> Precondition:
    command = tool_command(environment, "doctor", local=True, json=True)
    look = RemoteCommand(host=host.name, command=command, timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        try:
            findings = json.loads(outputs[0].text.strip().splitlines()[-1])["findings"]
            texts = {each["subject"]: each["found"] for each in findings}
            bad = [f"{each['subject']}: {each['found']}" for each in findings if each["stops"]]
        except (ValueError, LookupError, TypeError) as error:
            raise Unreadable(complaint("the tool there", outputs[0])) from error
        if texts.get(VERSION) != _version():
            bad.insert(0, f"it has {texts.get(VERSION)}, this machine {_version()}")
        return fails("; ".join(bad)) if bad else holds(f"{len(findings)} looks hold there; the same version")

    check = Check(title="the tool is installed there, and all that it needs", looks=(look,), judge=judge)
    return Precondition(check=check, advice=f"On {host.name}:  {command.removesuffix(' --json')}")


def _clock(environment: Environment) -> Precondition:
    """Return the check that this machine's clock agrees with master's."""
    look = SqlQuery(database=environment.master.name, name="its time", statement=NOW)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        apart = facts.now.timestamp() - int(str(outputs[0].rows[0][0]))
        sentence = f"{abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} master's"
        return holds(sentence) if abs(apart) <= CLOCKS_APART.total_seconds() else fails(sentence)

    check = Check(title="this machine's clock agrees with master's", looks=(look,), judge=judge)
    return Precondition(check=check, advice="Correct the clock that is wrong: proofs compare times.")


def _version() -> str:
    return f"{TOOL_VERSION}, code {version()}"


def _name(environment: Environment) -> str:
    name = own_name(environment)
    if name and name not in environment.hosts:
        raise UsageError(f"{environment.host_name_file} says {name!r}, which is no host of the inventory")
    return f"{name or 'none: no host of the inventory'}, Python {platform.python_version()}"


def _keys(environment: Environment) -> str:
    """Return which keys are there; Problems with those that are not."""
    encryption.parsed(environment.store.recipients)
    problems = [*_ssh_problems(environment)]
    if problems:
        raise Problems("Keys are missing:", problems)
    return f"{many(len(environment.hosts), 'host key')}, {many(len(environment.store.recipients), 'recipient')}"


def _ssh_problems(environment: Environment) -> Iterator[str]:
    ssh = environment.ssh
    if not environment.hosts:
        return
    if ssh.key and not Path(ssh.key).expanduser().is_file():
        yield f"no SSH key {ssh.key}"
    try:
        host_keys = read_text(Path(ssh.known_hosts).expanduser(), ssh.known_hosts)
    except CutoverError as error:
        yield str(error).rstrip(".")
        return
    if not host_keys.strip():
        yield f"{ssh.known_hosts} has no host key"


def _disk(environment: Environment) -> str:
    """Return the free disk where this tool writes; Problems where it is short."""
    state = ROOT / Path(environment.state).expanduser()
    folders = (spool_folder(), next(path for path in (state, *state.parents) if path.exists()))
    free = {folder: shutil.disk_usage(folder).free for folder in folders}
    if short := [folder for folder in free if free[folder] < SPARE]:
        needed = [f"{size(free[folder])} free in {folder}, needed {size(SPARE)}" for folder in short]
        raise Problems("Too little disk:", needed)
    return "; ".join(f"{size(left)} free in {folder}" for folder, left in free.items())
