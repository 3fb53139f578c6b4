"""The only module that uses Celery: it sends unit numbers to free workers, and runs workers that wait for them.

A unit's content and result are in master. So the broker keeps no results, Redis and RabbitMQ both work, and no tenant
data passes through either.
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
ANSWER = 10.0  # timeout of the broker, in seconds
# The run itself notices a dead worker within a second, and a message delivered twice does nothing. So Redis need not
# guess from elapsed time: it waits longer than any unit lasts.
VISIBLE_AGAIN = 24 * 60 * 60  # seconds
Perform = Callable[[str, int], None]  # called with a run and a unit's number

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
    "broker_connection_max_retries": None,  # reconnect after a restart of the broker
    "broker_connection_timeout": ANSWER,
}
OF_REDIS = {"visibility_timeout": VISIBLE_AGAIN, "socket_connect_timeout": ANSWER, "socket_keepalive": True}


def queue_of(environment: Environment) -> Queue:
    """Return the environment's queue; raise UsageError if its inventory has none."""
    if environment.queue is None:
        hint = "Add it:  queue: {broker: redis://queue.example.com}  (inventory/example.yaml explains it)."
        raise UsageError(f"{environment.name}: no queue in the inventory.", hint=hint)
    return environment.queue


def app(environment: Environment) -> Any:
    """Return Celery's application for an environment's queue; raise UsageError if Celery or the password is missing."""
    queue = queue_of(environment)
    application = _celery().Celery("cutover", broker=_with_password(queue), set_as_current=False)
    application.conf.update(SETTINGS, task_default_queue=f"cutover.{environment.name}", broker_use_ssl=_tls(queue))
    if queue.broker.startswith("redis"):
        application.conf.broker_transport_options = OF_REDIS
    return application


def send(environment: Environment, run: str, numbers: Iterable[int]) -> None:
    """Send unit numbers to the workers; raise CutoverError if the broker can't be reached."""
    application = app(environment)
    with _linked(application, queue_of(environment)) as link:
        for number in numbers:
            application.send_task(TASK, args=[run, number], connection=link)


def check_reachable(environment: Environment) -> None:
    """Raise CutoverError if the broker can't be reached, UsageError if Celery or the password is missing."""
    with _linked(app(environment), queue_of(environment)):
        return


def serve(environment: Environment, perform: Perform, ready: Callable[[], None]) -> int:
    """Wait for units and run them one after the other, until SIGTERM or Ctrl-C; the current unit is finished first.

    Calls `ready` once it waits. Returns the exit code. Raises CutoverError if the broker can't be reached.
    """
    from celery import signals
    from celery.platforms import SecurityWarning

    def unit(run: str, number: int) -> None:
        perform(run, number)

    def waiting(**event: object) -> None:
        ready()

    application = app(environment)
    with _linked(application, queue_of(environment)):
        application.task(name=TASK)(unit)
    signals.worker_ready.connect(waiting)
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # about root, and options not used here
        # A child process runs the units, so that this process can answer the broker in the meantime.
        worker = application.Worker(
            pool="prefork", quiet=True, loglevel="WARNING", without_gossip=True, without_mingle=True
        )
        worker.start()
    return int(worker.exitcode or 0)


@contextmanager
def _linked(application: Any, queue: Queue) -> Iterator[Any]:
    """Yield a connection to the broker; raise CutoverError if connecting fails or the connection breaks."""
    from kombu.exceptions import OperationalError

    try:
        with application.connection_for_write() as link:
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
    """Return options that verify the broker's certificate and host name; neither client library does so by default."""
    address = urlsplit(queue.broker)
    options: dict[str, dict[str, Any]] = {
        "rediss": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True},
        "amqps": {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": address.hostname},
    }
    return options.get(address.scheme)


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
