"""The values of an environment, frozen and pure; `example.yaml` explains each field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from errors import UsageError
from formatting import many, plural
from inventory.keys import Key
from inventory.own_step import OwnStep
from inventory.parse import Keywords
from inventory.platforms import Aws, Heroku


class Role(Enum):
    """The purpose of a host."""

    CONTROL = "control"  # where ttmscalr runs
    DEBUG = "debug"  # where the archiver runs
    DATABASE = "database"  # a PostgreSQL primary
    WATCHER = "watcher"  # where System Watcher runs
    WAREHOUSE = "warehouse"  # a data warehouse and its ETL


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine reached over SSH."""

    name: str = ""  # the inventory's name, taken from the key
    address: str
    user: str
    roles: tuple[Role, ...]
    port: int = 22


class Pooler(Enum):
    """The way in which a connection pooler before a database treats a client."""

    SESSION = "session"  # it keeps one of the server's for it until the client leaves


@dataclass(frozen=True, kw_only=True)
class Database:
    """A PostgreSQL database of the product: `master`, or a shard."""

    name: str = ""  # the inventory's name, taken from the key; also the value of `schools.shard`
    host: str = ""  # the inventory name of its server; empty: nothing is done there
    connection: Keywords = field(default_factory=dict)  # libpq keywords, never a password
    config_var: str | None = None  # the config var of the Heroku app that has the address; None: see connection
    pooler: Pooler | None = None  # None: no pooler, or one through which nothing may be changed
    system_identifier: int | None = None  # PostgreSQL's own, to recognize the right server; None: any server
    data_directory: str | None = None  # on its host; None: no check of the disk space for VACUUM FULL
    backup_directory: str | None = None  # on its host; None: no check of the disk space for a backup


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The database in which archives are verified; it holds nothing of its own."""

    connection: Keywords
    pooler: Pooler | None = None  # as for a database of the product


FENCED = "{id}"  # in a fence's commands: the school's id


@dataclass(frozen=True, kw_only=True)
class Fence:
    """Commands on the archiver's host that keep the application off one school, and let it in again."""

    close: str
    open: str


@dataclass(frozen=True, kw_only=True)
class Store:
    """The store of archives: a bucket with an S3 API."""

    bucket: str
    prefix: str
    region: str = "us-east-1"
    endpoint: str | None = None  # None: Amazon's
    credentials: str | None = None  # an AWS credentials file; None: boto3's own order (environment, ~/.aws, role)
    recipients: tuple[str, ...] = ()  # age public keys that archives are encrypted to; empty: not encrypted
    unencrypted: str | None = None  # why archives need no recipients; None: a production must have recipients

    @property
    def encryption(self) -> str:
        """A sentence for plans and for the point of no return: who can read the archives."""
        if not self.recipients:
            return f"Archives are not encrypted{f': {self.unencrypted}' if self.unencrypted else ''}."
        keys = ", ".join(f"{recipient[:12]}…" for recipient in self.recipients)
        return f"Archives are encrypted to {many(len(self.recipients), 'recipient')}: {keys}."


class Way(Enum):
    """The method by which a database server is backed up."""

    BASE = "base"  # pg_basebackup: the whole server, file by file
    DUMP = "dump"  # pg_dump: the product's database, table by table


@dataclass(frozen=True, kw_only=True)
class Backups:
    """The backups that this tool takes on the database servers and sends to a store."""

    way: Way
    store: Store
    jobs: int = 4  # of pg_dump, and of the transfer
    programs: str | None = None  # the folder of PostgreSQL's programs; None: PATH


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The broker from which workers on several machines take their units."""

    broker: str  # redis://, rediss://, amqp:// or amqps://, never with a password
    variable: str | None = None  # the environment variable that holds the password
    file: str | None = None  # the file that holds it; neither: the broker needs none
    workers: int | None = None  # the number that step 8 counts on; None: the debug host prepares archives alone


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The machine through which every host is reached."""

    address: str
    user: str
    port: int = 22


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """The SSH settings for all hosts."""

    known_hosts: str = "~/.ssh/known_hosts"
    key: str | None = None  # None: the agent's keys
    connect_timeout: int = 10  # seconds
    gateway: Gateway | None = None  # None: hosts are reached directly


@dataclass(frozen=True, kw_only=True)
class Dns:
    """The name server that is asked; None: the system's."""

    server: str | None = None
    port: int = 53


@dataclass(frozen=True, kw_only=True)
class WebAddress:
    """The address of a webhook or a heartbeat: a URL, or the environment variable that holds it."""

    url: str | None = None
    variable: str | None = None


@dataclass(frozen=True, kw_only=True)
class App:
    """The product's web application."""

    url: str  # answers 503 in maintenance mode, else 200


@dataclass(frozen=True, kw_only=True)
class Shrink:
    """The size that the old farm gets in step 12.4, and the probe on the old warehouse that prints it."""

    size: str
    probe: str


@dataclass(frozen=True, kw_only=True)
class Warehouse:
    """The two warehouses of the night, and the names that move."""

    old: str  # the inventory name of this year's warehouse
    new: str  # the inventory name of next year's, made before the night
    name: str  # the DNS name the product uses: the old warehouse before step 12, the new one after
    old_name: str  # the DNS name of the old one after step 12; `{year}` becomes the school year
    old_target: str  # the DNS name of the old farm itself, which never moves
    new_target: str  # the DNS name of the new farm itself
    shrink: Shrink | None = None  # None: step 12.4 is done by aws/old_farm, or stays with a person


@dataclass(frozen=True, kw_only=True)
class HandoverProbes:
    """Read-only commands; name, dynos and size run on the old warehouse, the others on the control host."""

    name: str
    dynos: str
    configured: str
    running: str
    size: str


@dataclass(frozen=True, kw_only=True)
class Handover:
    """The settings of the 2013 checklist: the app is pointed to the new warehouse, and the old one retires."""

    old_name: str  # the old warehouse's name from then on; `{years}` becomes 2012-2013
    size: str  # the old warehouse's size once it is spun down
    probes: HandoverProbes


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Read-only commands that show the live state; `example.yaml` says what each must print."""

    watcher: str
    etl: str
    auto_backup: str
    backup: str
    backup_copy: str
    snapshot: str
    rebuild: str


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """The schools and customers that are excluded from a night."""

    schools: tuple[Key, ...] = ()
    customers: tuple[Key, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)  # `school 21` or `customer 99`: why it is excluded

    def named(self, noun: str, ids: Iterable[Key]) -> str:
        """Return ids with their reasons: 21 (summer school), 22."""
        reasons = {number: self.reasons.get(f"{noun} {number}") for number in ids}
        return ", ".join(f"{number} ({why})" if why else str(number) for number, why in reasons.items())


@dataclass(frozen=True, kw_only=True)
class Inclusion:
    """The only schools and customers that a night archives: each with its reason, which the records keep."""

    schools: Mapping[Key, str] = field(default_factory=dict)
    customers: Mapping[Key, str] = field(default_factory=dict)

    def text(self, noun: str) -> str:
        """Return the list with its reasons: customers 1234 (will not renew) and schools 13 (closed, OPS-511)."""
        lists = (("customers", self.customers), (plural(noun), self.schools))
        return " and ".join(
            f"{nouns} {', '.join(f'{number} ({why})' for number, why in reasons.items())}"
            for nouns, reasons in lists
            if reasons
        )


@dataclass(frozen=True, kw_only=True)
class OwnDepths:
    """Schools and customers with a depth of their own; a school's is stronger than its customer's."""

    schools: Mapping[Key, str] = field(default_factory=dict)
    customers: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Deferral:
    """A step's work left to a later day than the night, by the word of a person."""

    until: date  # when it falls due
    by: str


@dataclass(frozen=True, kw_only=True)
class Night:
    """The settings of one night."""

    depth: str  # one of the catalog's
    depths: OwnDepths = field(default_factory=OwnDepths)
    exclude: Exclusion = field(default_factory=Exclusion)
    only: Inclusion | None = None  # None: every school that is not excluded
    defer: Mapping[str, Deferral] = field(default_factory=dict)  # by step key
    backup_max_age: timedelta | None = None  # None: younger than maintenance mode
    ends: time | None = None  # when the product must be open again, in the environment's time zone; None: no limit


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A file of a running rehearsal (ports, keys) that overrides the inventory while it exists."""

    home: str  # the folder, from the project's root
    variable: str  # the environment variable that names another folder
    file: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Everything the tool knows about one environment."""

    environment: str = ""  # the name of its file
    production: bool = True
    timezone: str = "UTC"
    school_year_starts: str = "01-01"  # MM-DD; an earlier day belongs to the year before
    databases: Mapping[str, Database]
    scratch: Scratch
    store: Store
    hosts: Mapping[str, Host] = field(default_factory=dict)  # empty: this tool reaches databases and store alone
    app: App | None = None  # a night needs it, and warehouse and probes
    warehouse: Warehouse | None = None
    probes: Probes | None = None
    commands: Mapping[str, str] = field(default_factory=dict)  # step key: the command that makes the step AUTOMATE here
    instructions: Mapping[str, str] = field(default_factory=dict)  # step key: what a person does
    handover: Handover | None = None  # None: no night follows the 2013 checklist
    heroku: Heroku | None = None  # None: the inventory itself has the databases' addresses
    aws: Aws | None = None  # None: persons and commands do everything at Amazon
    backups: Backups | None = None  # None: persons and the inventory's commands take and send them
    fence: Fence | None = None  # None: nothing keeps the application off one school that is archived or moved
    queue: Queue | None = None  # None: archives are prepared on one machine
    ssh: Ssh = field(default_factory=Ssh)
    dns: Dns = field(default_factory=Dns)
    second_person: bool = False  # True: another person must approve the point of no return
    webhook: WebAddress | None = None  # None: no news is posted
    heartbeat: WebAddress | None = None  # None: no service hears when a run dies
    truncate_published: bool = False  # True: tables may be truncated although a publication publishes that
    max_lag: int = 16 * 1024 * 1024  # bytes that a standby may lag behind
    catalog: str = "catalog.yaml"  # next to the inventory
    migrations: str = "migrations"  # a folder next to the inventory
    host_name_file: str = "/etc/inventory-host"  # has the host's inventory name, on each host
    tool: str = "inv"  # the command that starts this tool on the debug host
    state: str = ".cutover"  # the folder of journals and locks, from the project's root
    own_steps: Mapping[str, OwnStep] = field(default_factory=dict)  # by name, in the order of equal places
    nights: Mapping[date, Night] = field(default_factory=dict)
    overlay: Overlay | None = None

    @property
    def name(self) -> str:
        """The environment's name, as in every message."""
        return self.environment

    def with_role(self, role: Role) -> tuple[Host, ...]:
        """Return the hosts of a role, in the inventory's order."""
        return tuple(host for host in self.hosts.values() if role in host.roles)

    @property
    def archiver_host(self) -> Host | None:
        """The host that archives; None: whichever machine this tool runs on."""
        return next(iter(self.with_role(Role.DEBUG)), None)

    def only(self, role: Role) -> Host:
        """Return the only host of a role that has one host; UsageError if the inventory has none."""
        for host in self.with_role(role):
            return host
        hint = "A night needs one; inventory/example.yaml explains hosts."
        raise UsageError(f"{self.name}: no host with the role {role.value} in the inventory.", hint=hint)

    def database_on(self, host: Host) -> Database:
        """Return the product's database on a database server."""
        return next(database for database in self.databases.values() if database.host == host.name)

    @property
    def master(self) -> Database:
        """The database that holds schools, classrooms and students."""
        return self.databases["master"]

    @property
    def shards(self) -> tuple[Database, ...]:
        """The databases that hold activity, in the inventory's order."""
        return tuple(database for name, database in self.databases.items() if name != "master")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of nights and school years."""
        return ZoneInfo(self.timezone)

    def school_year(self, day: date) -> int:
        """Return the school year of a day, named by the year it began: 2013 for 15 August 2014."""
        month, first = (int(part) for part in self.school_year_starts.split("-"))
        return day.year if (day.month, day.day) >= (month, first) else day.year - 1

    def night(self, day: date) -> Night:
        """Return the inventory's entry for a night; UsageError if there is none."""
        if day not in self.nights:
            dates = ", ".join(str(night) for night in sorted(self.nights)) or "none"
            raise UsageError(
                f"{self.name}: no night {day} in the inventory (it has: {dates}).",
                hint=f"Add it:  nights: {{{day}: {{depth: all, exclude: {{schools: [], customers: []}}}}}}",
            )
        return self.nights[day]

    def window_end(self, day: date, began: datetime) -> datetime | None:
        """Return when a night's window closes: the first such time after the night began; None without a window."""
        ends = self.night(day).ends
        if ends is None:
            return None
        evening = began.astimezone(self.zone).date()
        mornings = (datetime.combine(evening + timedelta(days=later), ends, self.zone) for later in (0, 1))
        return next(morning.astimezone(UTC) for morning in mornings if morning.astimezone(UTC) > began)
