"""The product's web application: which warehouse it is configured for, and which one it uses."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from inventory.model import Role
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import Unreadable, moment, record
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds


@builds("app.point")
def point(night: NightContext, key: str) -> Step:
    """Point Apangea to the new warehouse, by its environment variable."""
    host = night.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Point Apangea to the new warehouse",
        mark=Mark.MANUAL,
        tasks=(night.task(key, host, checks=(configured(night),)),),
        required=True,
        estimate=timedelta(minutes=2),
    )


@builds("app.restart")
def restart(night: NightContext, key: str) -> Step:
    """Restart the app, unless the change of its variable has restarted it already."""
    host = night.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Restart the app",
        mark=Mark.MANUAL,
        tasks=(night.task(key, host, checks=(uses_new(night),)),),
        required=True,
        settle=timedelta(minutes=5),
        estimate=timedelta(minutes=5),
    )


def configured(night: NightContext) -> Check:
    """Return the check of the app's variable; it shows only the host of the URL, since the rest may be a secret."""
    look = RemoteCommand(host=night.environment.only(Role.CONTROL).name, command=night.handover.probes.configured)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        return _judged(night, "the app is configured for", _host_of(outputs[0].text))

    return Check(title=f"the app is configured for {night.warehouse.new_target}", looks=(look,), judge=judge)


def uses_new(night: NightContext) -> Check:
    """Return the check that the running app was started with the new warehouse."""
    look = RemoteCommand(host=night.environment.only(Role.CONTROL).name, command=night.handover.probes.running)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        running = record(outputs[0], "url", "started_at")
        since = f"the app runs since {moment(running['started_at']):%H:%M:%S} UTC with"
        return _judged(night, since, _host_of(str(running["url"])))

    return Check(title=f"the app runs with {night.warehouse.new_target}", looks=(look,), judge=judge)


def _judged(night: NightContext, sentence: str, host: str) -> Verdict:
    expected = night.warehouse.new_target
    return holds(f"{sentence} {host}") if host == expected else fails(f"{sentence} {host}, expected {expected}")


def _host_of(url: str) -> str:
    try:
        host = urlsplit(url.strip()).hostname
    except ValueError:
        host = None
    if not host:
        raise Unreadable("expected a URL with a host, got something else")
    return host
