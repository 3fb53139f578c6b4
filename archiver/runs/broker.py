"""The only door to Celery: a unit's name is sent to whichever worker is free, and workers wait for such names.

What the unit is, and how it ended, stands in master. So no result is kept in the broker, Redis and RabbitMQ serve
alike, and nothing of a tenant goes through either.
"""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from errors import CutoverError, UsageError
from inventory.model import Environment, Queue

TASK = "cutover.unit"
ANSWER = 10.0  # seconds a broker may take to answer
# A worker that dies is noticed by the run itself, within a second; what the broker delivers again steps aside. So Redis
# need not guess from the time that passed: it waits longer than any unit lasts.
VISIBLE_AGAIN = 24 * 60 * 60  # seconds
Perform = Callable[[str, int], None]  # a run, and the number of a unit

SETTINGS = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_publish_retry": False,
    "worker_prefetch_multiplier": 1,
    "worker_concurrency": 1,
    "worker_enable_remote_control": False,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,  # the unit goes on: its lock is PostgreSQL's
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # a broker that was restarted is found again
    "broker_connection_timeout": ANSWER,
}
OF_REDIS = {"visibility_timeout": VISIBLE_AGAIN, "socket_connect_timeout": ANSWER, "socket_keepalive": True}


def queue_of(environment: Environment) -> Queue:
    """The environment's queue; UsageError where its inventory has none."""
    if environment.queue is None:
        hint = "Add it:  queue: {broker: redis://queue.example.com}  (inventory/example.yaml explains it)."
        raise UsageError(f"{environment.name}: no queue in the inventory.", hint=hint)
    return environment.queue


def app(environment: Environment) -> Any:
    """Celery's application for an environment's queue. Raises UsageError where it, or its password, is missing."""
    queue = queue_of(environment)
    made = _celery().Celery("cutover", broker=_with_password(queue), set_as_current=False)
    made.conf.update(SETTINGS, task_default_queue=f"cutover.{environment.name}", broker_use_ssl=_tls(queue))
    if queue.broker.startswith("redis"):
        made.conf.broker_transport_options = OF_REDIS
    return made


def send(environment: Environment, run: str, numbers: Iterable[int]) -> None:
    """Sends the names of units; CutoverError where the broker can't be reached."""
    made = app(environment)
    with _linked(made, queue_of(environment)) as link:
        for number in numbers:
            made.send_task(TASK, args=[run, number], connection=link)


def check_reachable(environment: Environment) -> None:
    """CutoverError where the broker can't be reached, UsageError where Celery or its password is missing."""
    with _linked(app(environment), queue_of(environment)):
        return


def serve(environment: Environment, perform: Perform, ready: Callable[[], None]) -> int:
    """Waits for units and does one after the other, until SIGTERM or Ctrl-C: then the unit at hand is ended first.

    Calls `ready` when it waits; returns the exit code. Raises CutoverError where the broker can't be reached.
    """
    from celery import signals
    from celery.platforms import SecurityWarning

    def unit(run: str, number: int) -> None:
        perform(run, number)

    def waiting(**told: object) -> None:
        ready()

    made = app(environment)
    with _linked(made, queue_of(environment)):
        made.task(name=TASK)(unit)
    signals.worker_ready.connect(waiting)
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # of root, and of options we do not have
        # A process of its own does the units, so that this one can answer the broker meanwhile.
        worker = made.Worker(pool="prefork", quiet=True, loglevel="WARNING", without_gossip=True, without_mingle=True)
        worker.start()
    return int(worker.exitcode or 0)


@contextmanager
def _linked(made: Any, queue: Queue) -> Iterator[Any]:
    """A link to the broker that is up; CutoverError where there is none, or it breaks."""
    from kombu.exceptions import OperationalError

    try:
        with made.connection_for_write() as link:
            link.ensure_connection(max_retries=1, interval_start=1, timeout=ANSWER)
            yield link
    except (OperationalError, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        hint = "Is it up? queue/broker in the inventory says where it is, queue/variable or queue/file its password."
        raise CutoverError(f"Reaching the broker {queue.broker} failed: {reason}.", hint=hint) from None


def _celery() -> Any:
    try:
        import celery
    except ImportError:
        hint = "Install it beside this tool: pip install 'celery[redis]'"
        raise UsageError("Celery is not installed on this machine.", hint=hint) from None
    return celery


def _tls(queue: Queue) -> dict[str, Any] | None:
    """Proves the broker's certificate and its name: neither client library does both unless it is told to."""
    address = urlsplit(queue.broker)
    ways: dict[str, dict[str, Any]] = {
        "rediss": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True},
        "amqps": {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": address.hostname},
    }
    return ways.get(address.scheme)


def _with_password(queue: Queue) -> str:
    password = _password(queue)
    if password is None:
        return queue.broker
    address = urlsplit(queue.broker)
    user, _, where = address.netloc.rpartition("@")
    return urlunsplit(address._replace(netloc=f"{user}:{quote(password, safe='')}@{where}"))


def _password(queue: Queue) -> str | None:
    if queue.variable:
        return _given(os.environ.get(queue.variable), f"environment variable {queue.variable}")
    if queue.file:
        try:
            return _given(Path(queue.file).expanduser().read_text(encoding="utf-8").strip(), queue.file)
        except OSError as error:
            raise UsageError(f"Reading {queue.file} failed: {error.strerror}.") from None
    return None


def _given(password: str | None, where: str) -> str:
    if not password:
        raise UsageError(
            f"The broker's password is missing: {where} is empty.", hint="queue in the inventory names it."
        )
    return password
