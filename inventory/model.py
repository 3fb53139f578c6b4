"""The nouns of an environment, frozen and pure; `example.yaml` explains each field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from errors import UsageError
from inventory.platforms import Aws, Heroku


class Role(Enum):
    """What a host is for."""

    CONTROL = "control"  # where ttmscalr runs
    DEBUG = "debug"  # where the archiver runs
    DATABASE = "database"  # a PostgreSQL primary
    WATCHER = "watcher"  # where System Watcher runs
    WAREHOUSE = "warehouse"  # a data warehouse and its ETL


class Depth(Enum):
    """How much of a school is deleted; the archive itself is always whole."""

    ALL = "all"  # everything
    STUDENTS = "students"  # classrooms, students and all below them; school and staff stay


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine reached over SSH."""

    name: str = ""  # the inventory's name, taken from the key
    address: str
    user: str
    roles: tuple[Role, ...]
    port: int = 22


@dataclass(frozen=True, kw_only=True)
class Database:
    """A PostgreSQL database of the product: `master`, or a shard."""

    name: str = ""  # the inventory's name, taken from the key; `schools.shard` says the same word
    host: str  # the inventory name of its server
    connection: Mapping[str, str] = field(default_factory=dict)  # libpq keywords, never a password
    config_var: str | None = None  # of the Heroku app, holds the address; none: the connection says it
    system_identifier: int | None = None  # PostgreSQL's own, by which the right server is known; none: any will do
    data_directory: str | None = None  # on its host; none: nobody looks whether VACUUM FULL has room
    backup_directory: str | None = None  # on its host; none: nobody looks whether a backup has room


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The database in which archives are proved; it holds nothing of its own."""

    connection: Mapping[str, str]


FENCED = "{id}"  # in a fence's commands: the school


@dataclass(frozen=True, kw_only=True)
class Fence:
    """Commands, run where the archiver runs, that keep the application off one school and let it in again."""

    close: str
    open: str


@dataclass(frozen=True, kw_only=True)
class Store:
    """Where archives are kept: a bucket that speaks S3."""

    bucket: str
    prefix: str
    region: str = "us-east-1"
    endpoint: str | None = None  # none: Amazon's
    credentials: str | None = None  # an AWS credentials file; none: boto3's own order (environment, ~/.aws, role)
    recipients: tuple[str, ...] = ()  # age public keys that archives are encrypted to; none: they are not


class Way(Enum):
    """How a database server is backed up."""

    BASE = "base"  # pg_basebackup: the whole server, file by file
    DUMP = "dump"  # pg_dump: the product's database, table by table


@dataclass(frozen=True, kw_only=True)
class Backups:
    """How this tool takes backups on the database servers, and where it sends them."""

    way: Way
    store: Store
    jobs: int = 4  # of pg_dump, and of the transfer
    programs: str | None = None  # the folder of PostgreSQL's programs; none: PATH


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The broker from which workers on several machines take their units."""

    broker: str  # redis://, rediss://, amqp:// or amqps://, never with a password
    variable: str | None = None  # the environment variable that holds the password
    file: str | None = None  # the file that holds it; neither: the broker wants none
    workers: int | None = None  # that step 8 of a night counts on; none: it prepares archives on the debug host alone


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """The machine through which every host is reached."""

    address: str
    user: str
    port: int = 22


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """How hosts are reached."""

    known_hosts: str = "~/.ssh/known_hosts"
    key: str | None = None  # none: the agent's keys
    connect_timeout: int = 10  # seconds
    gateway: Gateway | None = None  # none: hosts are reached directly


@dataclass(frozen=True, kw_only=True)
class Dns:
    """Which name server is asked; none: the system's."""

    server: str | None = None
    port: int = 53


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where news of a night is posted: a URL, or the environment variable that holds it."""

    url: str | None = None
    variable: str | None = None


@dataclass(frozen=True, kw_only=True)
class App:
    """The product's web application."""

    url: str  # answers 503 in maintenance, else 200


@dataclass(frozen=True, kw_only=True)
class Warehouse:
    """The two warehouses of the night and the names that move."""

    old: str  # inventory host name of this year's warehouse
    new: str  # inventory host name of next year's, made before the night
    name: str  # DNS name the product uses: old before step 12, new after
    old_name: str  # DNS name of the old one after step 12; `{year}` becomes the school year
    old_target: str  # DNS name of the old farm itself, which never moves
    new_target: str  # DNS name of the new farm itself


@dataclass(frozen=True, kw_only=True)
class HandoverProbes:
    """Read-only commands, as below: the first, second and last on the old warehouse, the others on the control host."""

    name: str
    dynos: str
    configured: str
    running: str
    size: str


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What the checklist of 2013 wants of the warehouses: the app is told of the new one, and the old one retires."""

    old_name: str  # what the old warehouse is called from then on; `{years}` becomes 2012-2013
    size: str  # what its size is called once it is spun down
    probes: HandoverProbes


@dataclass(frozen=True, kw_only=True)
class Probes:
    """Read-only commands that look at the world; `example.yaml` says what each must print."""

    watcher: str
    etl: str
    auto_backup: str
    backup: str
    backup_copy: str
    snapshot: str
    rebuild: str


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """Who is left alone on a night."""

    schools: tuple[int, ...] = ()
    customers: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Night:
    """What is particular to one night."""

    depth: Depth
    exclude: Exclusion = field(default_factory=Exclusion)
    backup_max_age: timedelta | None = None  # none: younger than maintenance mode
    ends: time | None = None  # when the product must be open again, in the environment's time zone; none: no window


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A file of a running rehearsal (ports, keys) that is laid over the inventory while it exists."""

    home: str  # folder, from the project's root
    variable: str  # environment variable that names another folder
    file: str


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Everything the tool knows about one environment."""

    environment: str
    production: bool
    timezone: str
    school_year_starts: str  # MM-DD; an earlier day belongs to the year before
    hosts: Mapping[str, Host]
    databases: Mapping[str, Database]
    scratch: Scratch
    store: Store
    app: App
    warehouse: Warehouse
    probes: Probes
    commands: Mapping[str, str]  # step key: the command that makes the step AUTOMATE here
    instructions: Mapping[str, str]  # step key: what a person does
    handover: Handover | None = None  # none: no night goes by the checklist of 2013
    heroku: Heroku | None = None  # none: the inventory itself says where each database is
    aws: Aws | None = None  # none: persons and commands do all there is to do at Amazon
    backups: Backups | None = None  # none: persons and commands of the inventory take and send them
    fence: Fence | None = None  # none: nothing keeps the application off one school that is archived or moved
    queue: Queue | None = None  # none: archives are prepared on one machine
    ssh: Ssh = field(default_factory=Ssh)
    dns: Dns = field(default_factory=Dns)
    second_person: bool = False  # whether somebody else must approve the point of no return
    webhook: Webhook | None = None  # none: nobody is told
    max_lag: int = 16 * 1024 * 1024  # bytes a standby may lag behind
    catalog: str = "catalog.yaml"  # beside the inventory
    migrations: str = "migrations"  # a folder beside the inventory
    host_name_file: str = "/etc/inventory-host"  # holds the host's inventory name, on each host
    tool: str = "inv"  # how this tool is started on the debug host
    state: str = ".cutover"  # folder for journals and locks, from the project's root
    nights: Mapping[date, Night] = field(default_factory=dict)
    overlay: Overlay | None = None

    @property
    def name(self) -> str:
        """The environment's name, as in every message."""
        return self.environment

    def with_role(self, role: Role) -> tuple[Host, ...]:
        """The hosts of a role, in the inventory's order."""
        return tuple(host for host in self.hosts.values() if role in host.roles)

    def only(self, role: Role) -> Host:
        """The one host of a role that has one."""
        return self.with_role(role)[0]

    def database_on(self, host: Host) -> Database:
        """The product's database on a database server."""
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
        """The time zone in which a night and a school year are told."""
        return ZoneInfo(self.timezone)

    def school_year(self, day: date) -> int:
        """The school year a day belongs to, named by the year it began: 2013 for 15 August 2014."""
        month, first = (int(part) for part in self.school_year_starts.split("-"))
        return day.year if (day.month, day.day) >= (month, first) else day.year - 1

    def night(self, day: date) -> Night:
        """What the inventory says of a night; UsageError where it says nothing."""
        if day not in self.nights:
            known = ", ".join(str(known) for known in sorted(self.nights)) or "none"
            raise UsageError(
                f"{self.name}: no night {day} in the inventory (nights there: {known}).",
                hint=f"Add it:  nights: {{{day}: {{depth: all, exclude: {{schools: [], customers: []}}}}}}",
            )
        return self.nights[day]

    def window_end(self, day: date, began: datetime) -> datetime | None:
        """When the window of a night closes: the first such time after it began; none where it has no window."""
        ends = self.night(day).ends
        if ends is None:
            return None
        evening = began.astimezone(self.zone).date()
        mornings = (datetime.combine(evening + timedelta(days=later), ends, self.zone) for later in (0, 1))
        return next(morning.astimezone(UTC) for morning in mornings if morning.astimezone(UTC) > began)
