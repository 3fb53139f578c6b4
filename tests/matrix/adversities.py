"""Changes of a database or a store while rows are on their way, each as a colleague makes it at psql."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from archiver.postgres.session import parse_dsn
from archiver.store.bucket import Bucket, file_digests
from rehearsal.postgres_server import Cluster
from tests.cases.attack_world import rows, run
from tests.conftest import ROLE
from tests.matrix.paths import MASTER, Way
from tests.worlds import World


class Moment(Enum):
    """When an adversity comes."""

    DELETING = "when all is proven, just before the first row is deleted"
    AWAY = "while the rows are away, before they come back"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where an adversity comes."""

    world: World
    way: Way
    cluster: Cluster
    folder: Path

    def sql(self, statements: str, *, everywhere: bool = False) -> None:
        """Run statements over the way's table, as the owner; everywhere: also where a move leads to."""
        here = self.way.touched.database
        others = [name for name in self.way.databases if name not in (here, MASTER)] if everywhere else []
        filled = self.way.filled(self.world, statements)
        for database in (here, *(others if here != MASTER else ())) if filled else ():
            run(self.world, database, filled)

    def as_superuser(self, statements: str) -> None:
        """Run statements in each database of the way, as a superuser does."""
        for database in self.way.databases:
            self.cluster.sql(statements, dbname=parse_dsn(self.world.dsns[database])["dbname"])

    def for_the_role(self, setting: str) -> None:
        """Change what sessions of the archiver's role begin with, as a superuser does."""
        self.cluster.sql(f"ALTER ROLE {ROLE} {setting}")


Act = Callable[[Scene], object]


def _nothing(scene: Scene) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Adversity:
    """A change of a database or of the store; `made` is there from the beginning."""

    name: str
    moment: Moment
    made: Act = _nothing
    comes: Act
    ends: Act = _nothing  # so that what was refused can be done
    harmless: frozenset[str] = frozenset()  # the ways on which it is not refused: all is done rightly beside it
    impossible: Mapping[str, str] = field(default_factory=dict)  # way: why it can't come about there


def _sql(statements: str, *, everywhere: bool = False) -> Act:
    return lambda scene: scene.sql(statements, everywhere=everywhere)


def _set(setting: str) -> Act:
    return lambda scene: scene.for_the_role(setting)


def _object(fate: str) -> Act:
    """Return what removes the objects that the way has stored, or puts others of their size in their place."""

    def harm(scene: Scene) -> None:
        bucket, path = Bucket(scene.world.environment.store), scene.folder / "object"
        for [location] in rows(scene.world, MASTER, f"SELECT location FROM {scene.way.books}"):
            key = bucket.key(location)
            whole = bucket.get(key, path)
            (scene.folder / location.replace("/", "_")).write_bytes(path.read_bytes())
            bucket.delete(key)
            if fate != "gone":
                path.write_bytes(path.read_bytes()[: whole.size // 2] if fate == "cut" else bytes(whole.size))
                bucket.put(key, path, file_digests(path))

    return harm


def _objects_back(scene: Scene) -> None:
    """Put the objects back that were harmed."""
    bucket = Bucket(scene.world.environment.store)
    for [location] in rows(scene.world, MASTER, f"SELECT location FROM {scene.way.books}"):
        saved, key = scene.folder / location.replace("/", "_"), bucket.key(location)
        if saved.exists():
            bucket.delete(key)
            bucket.put(key, saved, file_digests(saved))


OTHERS = "CREATE TABLE others (id bigserial PRIMARY KEY, their bigint, body text DEFAULT 'a teacher wrote this');"
FILLED = OTHERS + "INSERT INTO others (their) SELECT id FROM {table};"
FUNCTION = "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN %s END $f$;"
TRIGGER = "CREATE TRIGGER late %s ON {table} FOR EACH ROW EXECUTE FUNCTION late();"
NO_TRIGGER = "DROP TRIGGER IF EXISTS late ON {table}; DROP FUNCTION IF EXISTS late();"
NO_RULE = "DROP RULE IF EXISTS late ON {table}"
# What notes every DDL, as products do for their audits: this tool's own temporary tables, too.
NOTES = """
CREATE SCHEMA audit; CREATE TABLE audit.ddl (tag text);
CREATE FUNCTION audit.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER
    AS $f$ BEGIN INSERT INTO audit.ddl VALUES (tg_tag); END $f$;
CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION audit.note();
"""
ALL = frozenset({"one", "many by DELETE", "many by truncate and reload", "month", "move", "purge"})
GUARDED = "BEGIN UPDATE public.others SET body = 'gone' WHERE their = OLD.id; EXCEPTION WHEN division_by_zero THEN END;"


def _key(act: str) -> str:
    return f"ALTER TABLE others ADD CONSTRAINT late FOREIGN KEY (their) REFERENCES {{table}} ON DELETE {act} NOT VALID"


def _deletes(statement: str) -> str:
    return FUNCTION % f"{statement} RETURN OLD;" + TRIGGER % "BEFORE DELETE"


def _inserts(statement: str, when: str = "BEFORE") -> str:
    return FUNCTION % f"{statement} RETURN NEW;" + TRIGGER % f"{when} INSERT"


def _out(name: str, comes: str, ends: str = "", *, made: str = "", harmless: frozenset[str] = frozenset()) -> Adversity:
    return Adversity(
        name=name, moment=Moment.DELETING, made=_sql(made), comes=_sql(comes), ends=_sql(ends), harmless=harmless
    )


def _back(name: str, comes: str, ends: str, *, made: str = "", harmless: frozenset[str] = frozenset()) -> Adversity:
    return Adversity(
        name=name,
        moment=Moment.AWAY,
        made=_sql(made, everywhere=True),
        comes=_sql(comes, everywhere=True),
        ends=_sql(ends, everywhere=True),
        harmless=harmless,
    )


_NO_OBJECT = {"move": "rows that moved are live in the other shard, and come back from there without an object"}
_DROP_KEY = "ALTER TABLE others DROP CONSTRAINT IF EXISTS late"
_NO_CHECK = "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS late"
_OUT = (
    _out("a key that takes rows along", _key("CASCADE"), _DROP_KEY, made=FILLED),
    _out("a key that changes rows", _key("SET NULL"), _DROP_KEY, made=FILLED),
    _out(
        "a trigger that deletes elsewhere",
        _deletes("DELETE FROM public.others WHERE their = OLD.id;"),
        NO_TRIGGER,
        made=FILLED,
    ),
    _out("a trigger that writes in a subtransaction", _deletes(GUARDED), NO_TRIGGER, made=FILLED),
    _out("a trigger that keeps rows", FUNCTION % "RETURN NULL;" + TRIGGER % "BEFORE DELETE", NO_TRIGGER),
    _out(
        "a rule",
        "CREATE RULE late AS ON DELETE TO {table} DO ALSO DELETE FROM public.others WHERE their = OLD.id",
        NO_RULE,
        made=FILLED,
    ),
    _out(
        "a table below it",
        "CREATE TABLE below () INHERITS ({table}); INSERT INTO below SELECT * FROM ONLY {table}",
        "DROP TABLE IF EXISTS below",
    ),
    Adversity(
        name="a column made anew",
        moment=Moment.DELETING,
        made=_sql("ALTER TABLE {table} ADD note text DEFAULT 'as archived'", everywhere=True),
        comes=_sql("ALTER TABLE {table} DROP note, ADD note text DEFAULT 'written since'", everywhere=True),
        harmless=frozenset({"month"}),
    ),
    # A month keeps what changed and takes the rest.
    _out("rows changed", "UPDATE {table} t SET {changed} WHERE {rows}", harmless=frozenset({"month"})),
    _out("rows added below", "{late}", "{late_ends}", harmless=frozenset({"month"})),
    Adversity(name="the object is gone", moment=Moment.DELETING, comes=_object("gone")),
    Adversity(name="the object is another", moment=Moment.DELETING, comes=_object("replaced")),
    Adversity(
        name="sessions in which no key is looked at",
        moment=Moment.DELETING,
        made=_set("SET session_replication_role = replica"),
        comes=_nothing,
        ends=_set("RESET session_replication_role"),
    ),
    Adversity(
        name="a server that does not count",
        moment=Moment.DELETING,
        made=_set("SET track_counts = off"),
        comes=_nothing,
        ends=_set("RESET track_counts"),
    ),
    Adversity(
        name="settings that shape text",
        moment=Moment.DELETING,
        made=_set("SET array_nulls = off"),
        comes=_nothing,
        ends=_set("RESET array_nulls"),
        harmless=ALL,
    ),
)
_BACK = (
    _back("a trigger that changes what comes", _inserts("NEW.created_at := '2001-01-01';"), NO_TRIGGER),
    _back(
        "a trigger that writes elsewhere",
        _inserts("INSERT INTO public.others (their) VALUES (NEW.id);", "AFTER"),
        NO_TRIGGER,
        made=OTHERS,
    ),
    _back("a trigger that lets nothing in", FUNCTION % "RETURN NULL;" + TRIGGER % "BEFORE INSERT", NO_TRIGGER),
    _back(
        "a rule on what comes",
        "CREATE RULE late AS ON INSERT TO {table} DO ALSO INSERT INTO public.others (their) VALUES (NEW.id)",
        NO_RULE,
        made=OTHERS,
    ),
    _back(
        "a check that the rows break",
        "ALTER TABLE {table} ADD CONSTRAINT late CHECK (created_at > '2030-01-01') NOT VALID",
        _NO_CHECK,
    ),
    _back(
        "a column that must be filled",
        "ALTER TABLE {table} ADD late integer; ALTER TABLE {table} ADD CONSTRAINT late CHECK (late > 0) NOT VALID;"
        "ALTER TABLE {table} ALTER late SET DEFAULT 0",
        "ALTER TABLE {table} DROP late",
        harmless=frozenset({"move"}),  # in the other shard they have no value, and that the check allows
    ),
    *(
        Adversity(name=name, moment=Moment.AWAY, comes=_object(fate), ends=_objects_back, impossible=_NO_OBJECT)
        for name, fate in (
            ("the object went", "gone"),
            ("the object was cut", "cut"),
            ("the object was replaced", "replaced"),
        )
    ),
    Adversity(
        name="a way back in which no key is looked at",
        moment=Moment.AWAY,
        comes=_set("SET session_replication_role = replica"),
        ends=_set("RESET session_replication_role"),
    ),
    Adversity(
        name="a way back with settings that shape text",
        moment=Moment.AWAY,
        comes=_set("SET array_nulls = off"),
        ends=_set("RESET array_nulls"),
        harmless=ALL,
    ),
    _back(
        "times that got a zone",
        "ALTER TABLE {table} ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'America/New_York'",
        "ALTER TABLE {table} ALTER created_at TYPE timestamp USING created_at AT TIME ZONE 'America/New_York'",
        harmless=frozenset({"move"}),  # the rows are live in the other shard, and are converted there
    ),
    Adversity(
        name="an event trigger that notes what is made",
        moment=Moment.AWAY,
        comes=lambda scene: scene.as_superuser(NOTES),
        ends=lambda scene: scene.as_superuser("DROP EVENT TRIGGER noted"),
    ),
)
ADVERSITIES = {each.name: each for each in (*_OUT, *_BACK)}
