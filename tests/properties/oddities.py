"""Oddities beside tables and keys: rules, children, triggers, publications, keys that old rows break.

An archiver may refuse each of these; what it does not refuse it does exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from errors import CutoverError
from inventory.keys import Key
from tests import oracle
from tests.properties.databases import build, standing
from tests.properties.expected import belonging, leaving
from tests.properties.product import Product, Table
from tests.properties.shapes import ODD_NAMES
from tests.properties.trial import Trial
from tests.properties.written import quoted
from tests.worlds import World, same, sql

BESIDE = "odd_things"  # a table that no tenant's row leads to
EVENTS = ("INSERT", "UPDATE", "DELETE")
ACTS = ("CASCADE", "SET NULL", "SET DEFAULT")
_MADE = (
    f"CREATE TABLE public.{BESIDE} (number bigserial PRIMARY KEY, what text);"
    f"INSERT INTO public.{BESIDE} (what) VALUES ('a');"
)
_WRITES = {
    "INSERT": f"INSERT INTO public.{BESIDE} (what) VALUES ('more');",
    "UPDATE": f"UPDATE public.{BESIDE} SET what = 'changed';",
    "DELETE": f"DELETE FROM public.{BESIDE};",
}


@dataclass(frozen=True, kw_only=True)
class Oddity:
    """One oddity of one table."""

    kind: str
    table: Table
    event: str  # at which it acts
    act: str  # how a row beside it follows
    writes: str  # what it does elsewhere

    def script(self) -> str:
        """Return it as SQL over the filled tables."""
        return _SCRIPTS[self.kind](self, f"public.{quoted(self.table.name)}")

    def catalog(self, written: str) -> str:
        """Return the catalog, with what it says of the oddity."""
        if self.kind not in _SPOKEN_OF:
            return written
        catalog = json.loads(written)
        [key] = self.table.primary_key
        link = f"of_key = {self.table.name}.{key} where kind = carried"
        entry = {"group": "any", "found_by": [link], "needed_by": []}
        catalog["databases"][self.table.database][BESIDE] = entry
        return json.dumps(catalog)


def _rule(odd: Oddity, table: str) -> str:
    return f"{_MADE}CREATE RULE odd AS ON {odd.event} TO {table} DO ALSO {odd.writes}"


def _trigger(odd: Oddity, table: str) -> str:
    return (
        f"{_MADE}CREATE FUNCTION public.odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {odd.writes}"
        " RETURN coalesce(NEW, OLD); END $$;"
        f"CREATE TRIGGER odd AFTER {odd.event} ON {table} FOR EACH ROW EXECUTE FUNCTION public.odd()"
    )


def _guarded_trigger(odd: Oddity, table: str) -> str:
    return _trigger(odd, table).replace(
        odd.writes, f"BEGIN {odd.writes} EXCEPTION WHEN division_by_zero THEN RAISE; END;", 1
    )


def _child(odd: Oddity, table: str) -> str:
    columns = ", ".join(quoted(column.name) for column in odd.table.columns if not column.generated)
    return (
        f"CREATE TABLE public.odd_child (extra text) INHERITS ({table});"
        f"INSERT INTO public.odd_child ({columns}, extra) OVERRIDING SYSTEM VALUE"
        f" SELECT {columns}, 'x' FROM ONLY {table}"
    )


def _publication(odd: Oddity, table: str) -> str:
    # It is in no schema, and so there still from the product before.
    return f"DROP PUBLICATION IF EXISTS odd; CREATE PUBLICATION odd FOR TABLE {table}"


def _follower(odd: Oddity, table: str) -> str:
    """Rows that follow the table's by a key, half of them of a kind that a link could speak of."""
    [key] = odd.table.primary_key
    kind = next(column.type for column in odd.table.columns if column.name == key)
    return (
        f"CREATE TABLE public.{BESIDE} (number bigserial PRIMARY KEY, of_key {kind}, kind text);"
        f"INSERT INTO {BESIDE} (of_key, kind) SELECT {quoted(key)}, unnest(ARRAY['carried', 'other']) FROM {table};"
        f"ALTER TABLE {BESIDE} ADD FOREIGN KEY (of_key) REFERENCES {table} ON DELETE {odd.act}"
    )


def _broken_key(odd: Oddity, table: str) -> str:
    """A key that rows of before break."""
    [key] = odd.table.primary_key
    kind = next(column.type for column in odd.table.columns if column.name == key)
    return (
        f"CREATE TABLE public.{BESIDE} (of_key {kind} PRIMARY KEY);"
        f"ALTER TABLE {table} ADD CONSTRAINT odd FOREIGN KEY ({quoted(key)}) REFERENCES public.{BESIDE} NOT VALID"
    )


_KEYED = {"follower": _follower, "conditional follower": _follower, "broken key": _broken_key}
_SPOKEN_OF = {"conditional follower"}
_SCRIPTS: Mapping[str, Callable[[Oddity, str], str]] = {
    "rule": _rule,
    "trigger": _trigger,
    "guarded trigger": _guarded_trigger,
    "child": _child,
    "publication": _publication,
    **_KEYED,
}
KINDS = tuple(_SCRIPTS)


@st.composite
def oddities(draw: DrawFn, product: Product, kind: str) -> Oddity:
    """Return an oddity of this kind, of one of the product's tables."""
    carried = [table for table in product.tables.values() if table.carried]
    keyed = [table for table in carried if len(table.primary_key) == 1 and not table.partitioned_by]
    plain = [table for table in keyed if table.name not in ODD_NAMES]  # a link can name no other
    among = {"conditional follower": plain, "child": [table for table in carried if not table.partitioned_by]}.get(
        kind, keyed if kind in _KEYED else carried
    )
    assume(among)
    return Oddity(
        kind=kind,
        table=draw(st.sampled_from(among)),
        event=draw(st.sampled_from(EVENTS)),
        act=draw(st.sampled_from(ACTS)),
        writes=_WRITES[draw(st.sampled_from(EVENTS))],
    )


def out_and_back_beside(shared_world: World, product: Product, oddity: Oddity, catalog_file: Path) -> str:
    """Archive and restore one tenant, then several at once, beside an oddity; return what was refused, if anything.

    What is refused has changed no row; what is done changes no row but the tenant's, and brings each back.
    """
    built = build(shared_world, product, catalog_file)
    catalog_file.write_text(oddity.catalog(catalog_file.read_text(encoding="utf-8")), encoding="utf-8")
    _lay(built.world, product, oddity)
    with standing(built.world) as world:
        trial, first = Trial(world, product, built.lines), product.run.out[0]
        if refused := _refused(world, lambda: world.archive(first, depth=product.run.depth)):
            return refused
        _assert_gone(trial, first)
        world.restore(first)
        _assert_whole(trial)
    return ""


def _lay(world: World, product: Product, oddity: Oddity) -> None:
    for place in product.places(oddity.table):
        with sql(world, place) as cursor:
            cursor.execute("SET search_path = public; SET client_min_messages = error;" + oddity.script())


def _refused(world: World, act: Callable[[], object]) -> str:
    before = oracle.snapshot(world.dsns)
    try:
        act()
    except CutoverError as error:
        same(before, oracle.snapshot(world.dsns))
        return str(error)
    return ""


def _assert_gone(trial: Trial, tenant: Key) -> None:
    trial.archived[tenant] = belonging(trial.product, trial.live, tenant)
    trial.live -= leaving(trial.product, trial.live, tenant)
    trial.assert_live()


def _assert_whole(trial: Trial) -> None:
    same(trial.before, oracle.snapshot(trial.world.dsns))
