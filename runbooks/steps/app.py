"""The product's web application: which warehouse it is told of, and which it uses."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from inventory.model import Role
from runbooks.engine.model.actions import Reading, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import Unreadable, moment, record
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import Tonight, builds


@builds("app.point")
def point(tonight: Tonight, key: str) -> Step:
    """Point Apangea to the new warehouse, by its environment variable."""
    host = tonight.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Point Apangea to the new warehouse",
        mark=Mark.MANUAL,
        tasks=(tonight.task(key, host, checks=(configured(tonight),)),),
        required=True,
        estimate=timedelta(minutes=2),
    )


@builds("app.restart")
def restart(tonight: Tonight, key: str) -> Step:
    """Restart the app, where the change of its variable has not done so already."""
    host = tonight.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Restart the app",
        mark=Mark.MANUAL,
        tasks=(tonight.task(key, host, checks=(uses_new(tonight),)),),
        required=True,
        settle=timedelta(minutes=5),
        estimate=timedelta(minutes=5),
    )


def configured(tonight: Tonight) -> Check:
    """The app's variable names the new warehouse; of the URL only the host is told, the rest may be a secret."""
    look = RemoteCommand(host=tonight.environment.only(Role.CONTROL).name, command=tonight.handover.probes.configured)

    def judge(readings: tuple[Reading, ...], facts: Facts) -> Verdict:
        return _judged(tonight, "the app is configured for", _host_of(readings[0].text))

    return Check(
        title=f"the app is configured for {tonight.environment.warehouse.new_target}", looks=(look,), judge=judge
    )


def uses_new(tonight: Tonight) -> Check:
    """The app as it runs was started with the new warehouse."""
    look = RemoteCommand(host=tonight.environment.only(Role.CONTROL).name, command=tonight.handover.probes.running)

    def judge(readings: tuple[Reading, ...], facts: Facts) -> Verdict:
        running = record(readings[0], "url", "started_at")
        since = f"the app runs since {moment(running['started_at']):%H:%M:%S} UTC with"
        return _judged(tonight, since, _host_of(str(running["url"])))

    return Check(title=f"the app runs with {tonight.environment.warehouse.new_target}", looks=(look,), judge=judge)


def _judged(tonight: Tonight, sentence: str, host: str) -> Verdict:
    wanted = tonight.environment.warehouse.new_target
    return holds(f"{sentence} {host}") if host == wanted else fails(f"{sentence} {host}, expected {wanted}")


def _host_of(url: str) -> str:
    try:
        host = urlsplit(url.strip()).hostname
    except ValueError:
        host = None
    if not host:
        raise Unreadable("expected a URL with a host, got something else")
    return host
