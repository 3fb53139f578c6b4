"""Checks between the parts of an inventory; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from datetime import date
from ipaddress import ip_address
from urllib.parse import SplitResult
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inventory.check_platforms import aws_mistakes, backup_mistakes, database_mistakes, heroku_mistakes, url_parts
from inventory.keys import Key
from inventory.model import FENCED, Environment, Exclusion, Gateway, Host, Role
from inventory.parse import short

SINGLE = (Role.CONTROL, Role.DEBUG)
OF_NIGHTS = ("nights", "warehouse", "probes", "commands", "instructions", "own_steps", "handover")  # keys
BROKERS = ("redis://", "rediss://", "amqp://", "amqps://")
LAST_PORT = 65535
_DECIMAL = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")  # the archiver checks its checksum


def environment_mistakes(environment: Environment) -> list[str]:
    """Return every mistake that types alone do not show, each with its path and what was expected."""
    checks: tuple[Callable[[Environment], Iterable[str]], ...] = (
        _night_needs,
        _roles,
        _addresses,
        _names_and_ports,
        _databases,
        database_mistakes,
        heroku_mistakes,
        aws_mistakes,
        backup_mistakes,
        _secrets,
        _recipients,
        _warehouse,
        _calendar,
        _fence,
        _nights,
        _ids,
        _included,
        _on_two_lists,
        _webhook,
        _queue,
    )
    return [mistake for check in checks for mistake in check(environment)]


def _night_needs(environment: Environment) -> Iterable[str]:
    """Yield what is missing for a night; an inventory without a word of nights only archives and restores."""
    first = next((key for key in OF_NIGHTS if getattr(environment, key)), None)
    if first is None:
        return
    for key in ("app", "warehouse", "probes"):
        if getattr(environment, key) is None:
            yield f"{key}: expected a mapping, because {first} is given and a night needs it, got nothing"
    for role in Role:
        if not environment.with_role(role):
            yield f"hosts: expected a host with the role {role.value}, got none"
    for name, database in environment.databases.items():
        if not database.host:
            yield f"databases/{name}/host: expected a host with the role database, got nothing"


def _roles(environment: Environment) -> Iterable[str]:
    for role in SINGLE:
        if (count := len(environment.with_role(role))) > 1:
            yield f"hosts: expected one host with the role {role.value}, got {count}"


def _addresses(environment: Environment) -> Iterable[str]:
    seen: dict[tuple[str, int], str] = {}
    for host in environment.hosts.values():
        first = seen.setdefault((host.address, host.port), host.name)
        if first != host.name:
            yield f"hosts/{host.name}: expected an address of its own, got {host.address}:{host.port} as {first} has"


def _names_and_ports(environment: Environment) -> Iterable[str]:
    hosts: dict[str, Host | Gateway] = {f"hosts/{name}": host for name, host in environment.hosts.items()}
    if environment.ssh.gateway:
        hosts["ssh/gateway"] = environment.ssh.gateway
    for path, host in hosts.items():
        if not _is_address(host.address):
            yield f"{path}/address: expected the name or the IP address of a machine, got {short(host.address)}"
        yield from _port(path, host.port)
    server = environment.dns.server
    if server is not None and not _is_ip(server):
        yield f"dns/server: expected an IP address, got {short(server)}"
    yield from _port("dns", environment.dns.port)
    connections = {f"databases/{name}": database.connection for name, database in environment.databases.items()}
    for path, connection in {**connections, "scratch": environment.scratch.connection}.items():
        for port in filter(None, connection.get("port", "").split(",")):  # libpq takes one for each of several hosts
            yield from _port(f"{path}/connection", int(port) if _DECIMAL.fullmatch(port) else port)


def _port(path: str, port: int | str) -> Iterable[str]:
    if isinstance(port, str) or not 1 <= port <= LAST_PORT:
        yield f"{path}/port: expected a number from 1 to {LAST_PORT}, got {short(port)}"


def _is_address(text: str) -> bool:
    if _is_ip(text):
        return True
    try:
        text.encode("idna")  # as Python's sockets do: no empty label, and none that is too long
    except UnicodeError:
        return False
    return bool(text) and not re.search(r"[\s@:/\[\]%]", text)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _databases(environment: Environment) -> Iterable[str]:
    if "master" not in environment.databases:
        yield "databases: expected one named master, got none"
    seen: dict[str, str] = {}
    for name, database in environment.databases.items():
        if not database.host:
            if database.data_directory:
                yield f"databases/{name}/host: expected the server that has its data_directory, got nothing"
            continue
        host = environment.hosts.get(database.host)
        if host is None or Role.DATABASE not in host.roles:
            yield f"databases/{name}/host: expected a host with the role database, got {database.host!r}"
        first = seen.setdefault(database.host, name)
        if first != name:
            yield f"databases/{name}/host: expected a server of its own, got {database.host!r} as {first} has"
    for host in environment.with_role(Role.DATABASE):
        if host.name not in seen:
            yield f"hosts/{host.name}: expected a database on it, got none"


def _secrets(environment: Environment) -> Iterable[str]:
    connections = {f"databases/{name}": database.connection for name, database in environment.databases.items()}
    for path, connection in {**connections, "scratch": environment.scratch.connection}.items():
        if "password" in connection:
            yield f"{path}/connection/password: expected ~/.pgpass or a service file to hold it, got a password here"


def _recipients(environment: Environment) -> Iterable[str]:
    if environment.store.unencrypted is not None and environment.store.recipients:
        yield "store/unencrypted: expected nothing, since store has recipients"
    if environment.store.unencrypted is not None and not environment.store.unencrypted.strip():
        yield "store/unencrypted: expected the reason, got an empty one"
    for number, recipient in enumerate(environment.store.recipients, start=1):
        path = f"store/recipients/{number}"
        if recipient.upper().startswith("AGE-SECRET-KEY"):
            yield f"{path}: expected an age public key (age1…), got an identity, which is secret"
        elif not RECIPIENT.fullmatch(recipient):
            yield f"{path}: expected an age public key (age1…), got {short(recipient)}"


def _warehouse(environment: Environment) -> Iterable[str]:
    warehouse = environment.warehouse
    if warehouse is None:
        return
    for field in ("old", "new"):
        name = getattr(warehouse, field)
        host = environment.hosts.get(name)
        if host is None or Role.WAREHOUSE not in host.roles:
            yield f"warehouse/{field}: expected a host with the role warehouse, got {name!r}"
    if warehouse.old == warehouse.new:
        yield f"warehouse/new: expected another host than warehouse/old, got {warehouse.new!r}"
    if "{year}" not in warehouse.old_name:
        yield f"warehouse/old_name: expected a name with {{year}} in it, got {warehouse.old_name!r}"
    if warehouse.old_target == warehouse.new_target:
        same = warehouse.new_target
        yield f"warehouse/new_target: expected another name than warehouse/old_target, got {same!r}"


def _calendar(environment: Environment) -> Iterable[str]:
    try:
        ZoneInfo(environment.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        yield f"timezone: expected a name such as America/New_York, got {environment.timezone!r}"
    start = environment.school_year_starts
    if not re.fullmatch(r"\d\d-\d\d", start) or not _is_day(start):
        yield f"school_year_starts: expected a day MM-DD, got {start!r}"


def _fence(environment: Environment) -> Iterable[str]:
    for name, command in vars(environment.fence).items() if environment.fence else ():
        if FENCED not in command:
            yield f"fence/{name}: expected a command with {FENCED} in it, got {command!r}"


def _excluded(exclude: Exclusion) -> tuple[tuple[str, tuple[Key, ...]], ...]:
    return ("school", exclude.schools), ("customer", exclude.customers)


def _nights(environment: Environment) -> Iterable[str]:
    for day, night in environment.nights.items():
        path, exclude = f"nights/{day}/exclude", night.exclude
        for noun, ids in _excluded(exclude):
            for number, each in enumerate(ids):
                if each in ids[:number]:
                    yield f"{path}/{noun}s/{number + 1}: expected each id once, got {each} again"
        excluded = [f"{noun} {each}" for noun, ids in _excluded(exclude) for each in ids]
        for name in sorted(exclude.reasons.keys() - set(excluded)):
            yield f"{path}/reasons/{name}: expected `school` or `customer` and an id that is excluded, got {name!r}"


def _ids(environment: Environment) -> Iterable[str]:
    """Yield every id below 1: no school and no customer has one, so it is a slip."""
    for day, night in environment.nights.items():
        for noun, ids in _excluded(night.exclude):
            for number, each in enumerate(ids, start=1):
                yield from _id(f"nights/{day}/exclude/{noun}s/{number}", each)
        for name, listed in (("only", night.only), ("depths", night.depths)):
            for nouns in ("schools", "customers"):
                for each in getattr(listed, nouns, {}):
                    yield from _id(f"nights/{day}/{name}/{nouns}/{each}", each)


def _id(path: str, key: Key) -> Iterable[str]:
    if isinstance(key, int) and key < 1:
        yield f"{path}: expected a number from 1, got {key}"


def _included(environment: Environment) -> Iterable[str]:
    for day, night in environment.nights.items():
        path, only = f"nights/{day}/only", night.only
        if only is None:
            continue
        if not only.schools and not only.customers:
            yield f"{path}: expected schools or customers, got none"
        for key, reasons in (("schools", only.schools), ("customers", only.customers)):
            for each, reason in reasons.items():
                if not reason.strip():
                    yield f"{path}/{key}/{each}: expected the reason, got an empty one"


def _on_two_lists(environment: Environment) -> Iterable[str]:
    for day, night in environment.nights.items():
        for noun, excluded in _excluded(night.exclude):
            for name, listed in (("only", night.only), ("depths", night.depths)):
                for each in getattr(listed, f"{noun}s", {}):
                    if each in excluded:
                        yield f"nights/{day}/{name}/{noun}s/{each}: expected a {noun} that is not excluded, got {each}"


def depth_mistakes(environment: Environment, depths: Collection[str] | None) -> Iterable[str]:
    """Yield every depth of a night that is none of the catalog's; nothing where those are not known."""
    for day, night in environment.nights.items():
        if depths is None:
            continue
        named = {"depth": night.depth}
        named |= {f"depths/schools/{each}": depth for each, depth in night.depths.schools.items()}
        named |= {f"depths/customers/{each}": depth for each, depth in night.depths.customers.items()}
        for path, depth in named.items():
            if depth not in depths:
                yield f"nights/{day}/{path}: expected one of {', '.join(depths)}, got {short(depth)}"


def _webhook(environment: Environment) -> Iterable[str]:
    for key, webhook in (("webhook", environment.webhook), ("heartbeat", environment.heartbeat)):
        if webhook and bool(webhook.url) == bool(webhook.variable):
            yield f"{key}: expected either url or variable, got " + ("both" if webhook.url else "neither")
        elif webhook and webhook.url and not _is_url(webhook.url):
            yield f"{key}/url: expected a URL that begins with https:// or http://, got {short(webhook.url)}"


def _queue(environment: Environment) -> Iterable[str]:
    queue = environment.queue
    if queue is None:
        return
    if queue.workers is not None and queue.workers < 1:
        yield f"queue/workers: expected 1 or more, got {queue.workers}"
    if queue.variable and queue.file:
        yield "queue: expected variable or file to hold the password, got both"
    address = url_parts(queue.broker)
    if "@" in address.netloc and ":" in address.netloc.rsplit("@", 1)[0]:
        yield "queue/broker: expected variable or file to hold the password, got a password here"
    elif not _is_broker(address):
        expected = f"{' or '.join(BROKERS)}, a host and at most a path"
        yield f"queue/broker: expected {expected}, got {short(queue.broker.split('?')[0])}"


def _is_url(text: str) -> bool:
    address = url_parts(text)
    return address.scheme in ("https", "http") and bool(address.hostname)


def _is_broker(address: SplitResult) -> bool:
    try:
        complete = bool(address.hostname) and address.port != 0
    except ValueError:  # the port is not a number
        return False
    return complete and f"{address.scheme}://" in BROKERS and not (address.query or address.fragment)


def _is_day(text: str) -> bool:
    month, day = (int(part) for part in text.split("-"))
    try:
        date(2001, month, day)
    except ValueError:
        return False
    return True
