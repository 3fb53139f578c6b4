"""The environment that a task works on."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from enum import Enum

from errors import CutoverError, UsageError
from inventory.load import load
from inventory.model import Environment
from platforms.heroku import with_databases
from runbooks.engine.live.clock import SystemClock

DEFAULT_ENVIRONMENT = "rehearsal"


class Addresses(Enum):
    """A task's need of the addresses of databases, where a platform has to say them."""

    NEEDED = "needed"  # without them it does nothing
    WELCOME = "welcome"  # without them it goes on, without what a database would say
    UNASKED = "unasked"  # it asks no database


def load_environment(
    env: str, *, yes_production: bool = False, read_only: bool = False, addresses: Addresses = Addresses.NEEDED
) -> Environment:
    """Return the environment of that name; without a name that of CUTOVER_ENV, else the rehearsal.

    Production is opened for acting only with the explicit word; what only reads sets `read_only`. Where a platform
    knows the addresses of the databases, it is asked now. Raises UsageError, and CutoverError where addresses are
    needed and the platform does not say them.
    """
    environment = load(env or os.environ.get("CUTOVER_ENV") or DEFAULT_ENVIRONMENT)
    if environment.production and not (yes_production or read_only):
        hint = "If you mean it, add the explicit word: --yes-production"
        raise UsageError(f"{environment.name} is a production environment, and this would act on it.", hint=hint)
    return environment if addresses is Addresses.UNASKED else _with_addresses(environment, addresses)


def _with_addresses(environment: Environment, addresses: Addresses) -> Environment:
    try:
        return with_databases(environment, _wait_and_report)
    except CutoverError as error:
        if addresses is Addresses.NEEDED:
            raise
        sys.stderr.write(f"{error}\nGoing on without the databases: what only they know stays unknown.\n")
        return environment


def _wait_and_report(pause: timedelta, why: str) -> None:
    """Wait, and report it on stderr: stdout may be another program's input."""
    sys.stderr.write(f"{why}; trying again in {pause.total_seconds():.0f} s.\n")
    SystemClock().wait(pause)
