"""`inv doctor`: can this machine, and every host that runs this tool, do so?"""

from __future__ import annotations

from inventory.load import refuse_if_down
from inventory.model import Environment
from runbooks.cli.environment import Addresses
from runbooks.cli.findings import settle, show, to_plain
from runbooks.cli.options import JSON, READS, Option
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say
from runbooks.night.looking import looked_at
from runbooks.preflight.machine import other_machines, this_machine

LOCAL = Option(name="local", help="look at this machine only", default=False)


@task("doctor", *READS, LOCAL, JSON, addresses=Addresses.WELCOME)
def doctor(environment: Environment, local: bool, json: bool) -> None:
    """Look at this machine, and every host that runs the tool: version, keys, passwords, store, clock and disk."""
    refuse_if_down(environment)
    findings = looked_at(environment, (*this_machine(environment), *(() if local else other_machines(environment))))
    if json:
        say(to_json({"findings": to_plain(findings)}))
    else:
        show(findings)
    settle(findings, summary=not json)
