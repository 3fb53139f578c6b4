"""Checks between an environment and its platforms; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from inventory.model import Environment, Role
from inventory.parse import short
from inventory.platforms import Aws

ADDRESS = ("host", "hostaddr", "port", "dbname", "user", "service")  # the parts of a config var's address
LOOPBACK = ("127.0.0.1", "::1", "localhost")
BY_API = {  # what makes a step AUTOMATE
    "aws/instances": "snapshots.create",
    "aws/zone": "warehouse.cut-over",
    "aws/old_farm": "warehouse.shrink",
}
INSTANCE = re.compile(r"i-[0-9a-f]+")


def database_mistakes(environment: Environment) -> Iterable[str]:
    """Yield mistakes in where databases are: it is given once, by a connection or by a config var of the Heroku app."""
    holders: dict[str, str] = {}
    for name, database in environment.databases.items():
        path, var = f"databases/{name}", database.config_var
        if var is None:
            if not database.connection:
                yield f"{path}: expected a connection or a config_var, got neither"
            continue
        if environment.heroku is None:
            yield f"{path}/config_var: expected heroku to name the app that has it, got nothing"
        if twice := [word for word in ADDRESS if word in database.connection]:
            yield f"{path}/connection: expected config_var alone to say {', '.join(twice)}, got both"
        first = holders.setdefault(var, name)
        if first != name:
            yield f"{path}/config_var: expected one of its own, got {var!r} as {first} has"


def url_parts(text: str) -> SplitResult:
    """Return the parts of a URL; all of them are empty if it is none, such as one with half a bracket."""
    try:
        return urlsplit(text)
    except ValueError:
        return SplitResult("", "", "", "", "")


def heroku_mistakes(environment: Environment) -> Iterable[str]:
    """Yield mistakes in the Heroku settings: a token is sent over TLS, or stays on this machine."""
    heroku = environment.heroku
    if heroku is None:
        return
    named = {database.config_var for database in environment.databases.values()} - {None}
    if not named:
        yield "heroku: expected a database with a config_var, got none"
    for var in heroku.others:
        if var in named:
            yield f"heroku/others: expected no config var of databases, got {var!r}"
    address = url_parts(heroku.endpoint)
    if address.scheme != "https" and not (address.scheme == "http" and address.hostname in LOOPBACK):
        yield f"heroku/endpoint: expected a URL that begins with https://, got {short(heroku.endpoint)}"


def backup_mistakes(environment: Environment) -> Iterable[str]:
    """Yield mistakes in the backup settings: each database needs a directory; no command may do what this tool does."""
    if environment.backups is None:
        return
    for name, database in environment.databases.items():
        for key, meaning in (("host", "the server"), ("backup_directory", "the directory")):
            if not getattr(database, key):
                yield f"databases/{name}/{key}: expected {meaning} of its backups, because backups is given"
    if environment.backups.store.recipients or environment.backups.store.unencrypted:
        yield "backups/store/recipients: expected none, because backups are not encrypted by this tool"
    if environment.backups.jobs < 1:
        yield f"backups/jobs: expected a number from 1, got {environment.backups.jobs}"
    for key in ("backups.dump", "backups.transfer"):
        if key in environment.commands:
            yield f"commands/{key}: expected nothing, because backups makes this tool do it"


def aws_mistakes(environment: Environment) -> Iterable[str]:
    """Yield mistakes in the Amazon settings: all database servers or none have instances; API steps have no command."""
    aws = environment.aws
    if aws is None:
        return
    yield from _instance_mistakes(environment, aws)
    yield from _old_farm_mistakes(environment, aws)
    if aws.zone is not None and not re.fullmatch(r"[A-Z0-9]+", aws.zone):
        yield f"aws/zone: expected a hosted zone's id (Z…), got {short(aws.zone)}"
    if aws.ttl < 1:
        yield f"aws/ttl: expected seconds, got {aws.ttl}"
    for path, key in BY_API.items():
        if getattr(aws, path.removeprefix("aws/")) and key in environment.commands:
            yield f"commands/{key}: expected nothing, because {path} makes this tool do it by the API"


def _instance_mistakes(environment: Environment, aws: Aws) -> Iterable[str]:
    servers = {host.name for host in environment.with_role(Role.DATABASE)}
    for name, instance in aws.instances.items():
        if name not in servers:
            yield f"aws/instances/{name}: expected a host with the role database, got {name!r}"
        if not INSTANCE.fullmatch(instance):
            yield f"aws/instances/{name}: expected an instance's id (i-…), got {short(instance)}"
    for name in sorted(servers - set(aws.instances)) if aws.instances else ():
        yield f"aws/instances/{name}: expected this server's instance, got nothing"


def _old_farm_mistakes(environment: Environment, aws: Aws) -> Iterable[str]:
    if aws.old_farm and not INSTANCE.fullmatch(aws.old_farm.instance):
        yield f"aws/old_farm/instance: expected an instance's id (i-…), got {short(aws.old_farm.instance)}"
    if aws.old_farm and environment.warehouse and environment.warehouse.shrink:
        yield "warehouse/shrink: expected nothing, because aws/old_farm says the old farm's size"
