"""The detached jobs on the hosts: tasks under `inv cutover.…` that list, follow and stop them."""

from __future__ import annotations

from inventory.model import Environment
from runbooks.cli.environment import Addresses
from runbooks.cli.options import ACTS, READS, Option
from runbooks.cli.task import task
from runbooks.night.jobs import attach_to, show_jobs, stop_job
from runbooks.night.run import terminal_of

HOST = Option(name="host", help="the host, by its name in the inventory", positional=True, required=True)
JOB = Option(name="job", help="which of several: its step, its task or its whole name", unset="the only one")


@task("cutover.jobs", *READS, addresses=Addresses.UNASKED)
def jobs(environment: Environment) -> None:
    """Show which jobs are running on which host, since when, for which step or task."""
    show_jobs(environment, terminal_of(environment))


@task("cutover.attach", HOST, JOB, *READS, example="db-shard-3", addresses=Addresses.UNASKED)
def attach(environment: Environment, host: str, job: str) -> None:
    """Follow the output of a job that is running on a host, to its end; Ctrl-C leaves it running."""
    attach_to(environment, terminal_of(environment), host, job)


@task("cutover.stop", HOST, JOB, *ACTS, example="db-shard-3", addresses=Addresses.UNASKED)
def stop(environment: Environment, host: str, job: str) -> None:
    """Stop a job on a host with all its processes, once the host's name is typed, and verify that none is left."""
    stop_job(environment, terminal_of(environment), host, job)


tasks = (jobs, attach, stop)
