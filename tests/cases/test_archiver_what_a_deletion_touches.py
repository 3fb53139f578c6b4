"""A deletion takes just the rows that were archived: no foreign key, child table or rule takes another row along."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.products import (
    Product,
    archived,
    bring_back,
    goes_and_comes_back,
    out_and_back,
    run,
    schools,
    standing,
)
from tests.worlds import NewWorld

CONDITIONAL = """
CREATE TABLE notes (id integer PRIMARY KEY, kind text, body text,
    school_id integer DEFAULT 2 REFERENCES schools ON DELETE {act});
INSERT INTO notes (id, kind, school_id, body) VALUES
    (1, 'public', 1, 'a'), (2, 'private', 1, 'keep me'), (3, 'public', 2, 'c');
"""
# A student of one school that a donation of another one references.
DONATED = """
CREATE TABLE students (id integer PRIMARY KEY, school_id integer REFERENCES schools);
CREATE TABLE donations (id integer PRIMARY KEY, school_id integer REFERENCES schools,
    student_id integer REFERENCES students ON DELETE {act});
INSERT INTO students VALUES (1, 1);
INSERT INTO students SELECT n, 2 FROM generate_series(2, 20) n;
INSERT INTO donations SELECT n, 2, n FROM generate_series(1, 20) n;
ANALYZE;
"""
ATTEMPTS = "CREATE TABLE attempts (id integer PRIMARY KEY, school_id integer REFERENCES schools, at date);"
CARRIED = "attempts: {group: attempt, found_by: [school_id = schools.id]}"
ESSAYS = """
CREATE TABLE {essays} (essay text, PRIMARY KEY (id)) INHERITS (attempts);
INSERT INTO {essays} VALUES (1, 1, '2013-02-01', 'a whole essay'), (2, 2, '2013-02-01', 'b');
"""
CHILDREN = {
    "with a column of its own": schools(
        ATTEMPTS + ESSAYS.format(essays="essays"), CARRIED, excluded="{essays: a part of attempts}"
    ),
    "named by a foreign key": schools(
        ATTEMPTS
        + """
        CREATE TABLE attempts_2013 (PRIMARY KEY (id)) INHERITS (attempts);
        INSERT INTO attempts_2013 VALUES (1, 1, '2013-02-01'), (2, 2, '2013-02-01');
        CREATE TABLE hints (id integer PRIMARY KEY, try integer REFERENCES attempts_2013 ON DELETE CASCADE, body text);
        INSERT INTO hints VALUES (1, 1, 'keep me'), (2, 2, 'x');
        """,
        CARRIED,
        excluded="{attempts_2013: a part of attempts}",
    ),
    "filled by a trigger that sends rows to it": schools(
        ATTEMPTS
        + """
        CREATE TABLE attempts_2013 (PRIMARY KEY (id)) INHERITS (attempts);
        INSERT INTO attempts_2013 VALUES (1, 1, '2013-02-01'), (2, 2, '2013-02-01');
        CREATE FUNCTION route() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN INSERT INTO public.attempts_2013 VALUES (NEW.*); RETURN NULL; END $$;
        CREATE TRIGGER route BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION route();
        """,
        "attempts: {group: attempt, found_by: [school_id = schools.id], triggers: {route: sends a row to its part}}",
        excluded="{attempts_2013: a part of attempts}",
    ),
}
RULED = """
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools);
CREATE TABLE audit (what integer, note text);
INSERT INTO things VALUES (1, 1), (2, 2);
INSERT INTO audit VALUES (1, 'keep me'), (2, 'x');
CREATE RULE gone AS ON DELETE TO things DO ALSO {act};
"""


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
@pytest.mark.parametrize("act", ["CASCADE", "SET NULL", "SET DEFAULT"])
def test_a_row_that_fails_the_links_condition_is_unchanged(
    new_world: NewWorld, tmp_path: Path, act: str, together: bool
) -> None:
    product = schools(
        CONDITIONAL.format(act=act), "notes: {group: note, found_by: ['school_id = schools.id where kind = public']}"
    )
    with standing(new_world, tmp_path, product) as world:
        out_and_back(world, 1, together=together)


def donated(act: str) -> Product:
    return schools(
        DONATED.format(act=act),
        "students: {group: student, found_by: [school_id = schools.id]}",
        "donations: {group: donation, found_by: [school_id = schools.id, student_id = students.id]}",
    )


@pytest.mark.parametrize(
    ("act", "together"),
    [
        ("CASCADE", False),
        ("SET NULL", False),
        ("CASCADE", True),
        ("SET NULL", True),
    ],
)
def test_another_schools_row_that_leads_to_a_deleted_row_is_unchanged(
    new_world: NewWorld, tmp_path: Path, act: str, together: bool
) -> None:
    with standing(new_world, tmp_path, donated(act)) as world:
        staying = "SELECT * FROM donations WHERE school_id = 2 ORDER BY id"
        before = run(world, "master", staying)
        archived(world, 1, together=together)
        assert run(world, "master", staying) == before


@pytest.mark.parametrize("product", CHILDREN.values(), ids=CHILDREN)
def test_a_child_tables_rows_stay_or_come_back_into_it(new_world: NewWorld, tmp_path: Path, product: Product) -> None:
    with standing(new_world, tmp_path, product) as world:
        out_and_back(world, 1)


def test_a_child_table_in_another_schema_keeps_its_rows_or_gets_them_back(new_world: NewWorld, tmp_path: Path) -> None:
    product = schools("CREATE SCHEMA parts;" + ATTEMPTS + ESSAYS.format(essays="parts.essays"), CARRIED)
    with standing(new_world, tmp_path, product) as world:
        essays = "SELECT * FROM parts.essays ORDER BY id"
        before = run(world, "master", essays)
        if archived(world, 1):
            bring_back(world, 1)
        assert run(world, "master", essays) == before


@pytest.mark.parametrize(
    ("act", "together"),
    [
        ("DELETE FROM audit WHERE what = OLD.id", False),
        ("DELETE FROM audit WHERE what = OLD.id", True),
        ("UPDATE audit SET note = 'gone' WHERE what = OLD.id", False),
    ],
    ids=["deletes", "deletes, in a set", "changes"],
)
def test_a_rule_takes_no_row_of_another_table_along(
    new_world: NewWorld, tmp_path: Path, act: str, together: bool
) -> None:
    product = schools(
        RULED.format(act=act), "things: {group: thing, found_by: [school_id = schools.id]}", excluded="{audit: stays}"
    )
    with standing(new_world, tmp_path, product) as world:
        out_and_back(world, 1, together=together)


# People found by one link, through a table that joins them twice: RosarioSIS has such tables.
JOINED_TWICE = Product(
    tables="""
    CREATE TABLE companies (id integer PRIMARY KEY, name text);
    CREATE TABLE people (id integer PRIMARY KEY, name text);
    CREATE TABLE memberships (id integer PRIMARY KEY, company_id integer REFERENCES companies,
        person_id integer REFERENCES people);
    CREATE INDEX ON memberships (company_id);
    CREATE INDEX ON memberships (person_id);
    INSERT INTO companies VALUES (1, 'one'), (2, 'two');
    INSERT INTO people VALUES (1, 'twice in company 1'), (2, 'once');
    INSERT INTO memberships VALUES (1, 1, 1), (2, 1, 1), (3, 2, 2);
    """,
    catalog="""
tenant: {noun: company, table: companies, key: id, title: name}
databases:
  master:
    companies: {group: company}
    memberships: {group: company, found_by: [company_id = companies.id]}
    people: {group: company, found_by: [id = memberships.person_id]}
depths: {all: {start: companies}}
""",
)
# A table without a key, found by one link whose other end is not unique.
WITHOUT_KEY = Product(
    tables="""
    CREATE TABLE companies (id integer PRIMARY KEY, name text);
    CREATE TABLE orders (id integer PRIMARY KEY, company_id integer REFERENCES companies, code text);
    CREATE TABLE notes (order_code text, note text);
    CREATE INDEX ON orders (company_id);
    CREATE INDEX ON notes (order_code);
    INSERT INTO companies VALUES (1, 'one'), (2, 'two');
    INSERT INTO orders VALUES (1, 1, 'A'), (2, 1, 'A'), (3, 2, 'B');
    INSERT INTO notes VALUES ('A', 'a note'), ('B', 'other');
    """,
    catalog="""
tenant: {noun: company, table: companies, key: id, title: name}
databases:
  master:
    companies: {group: company}
    orders: {group: company, found_by: [company_id = companies.id]}
    notes: {group: company, found_by: [order_code = orders.code]}
depths: {all: {start: companies}}
""",
)


# A person of both companies, joined twice by one; and rows that hang below such a person.
SHARED_AND_BELOW = Product(
    tables=JOINED_TWICE.tables
    + """
    CREATE TABLE badges (id integer PRIMARY KEY, person_id integer REFERENCES people, color text);
    CREATE INDEX ON badges (person_id);
    INSERT INTO people VALUES (3, 'of both');
    INSERT INTO memberships VALUES (4, 1, 3), (5, 1, 3), (6, 2, 3);
    INSERT INTO badges VALUES (1, 1, 'red'), (2, 1, 'blue'), (3, 2, 'red'), (4, 3, 'green');
    """,
    catalog=JOINED_TWICE.catalog.replace(
        "depths:", "    badges: {group: person, found_by: [person_id = people.id]}\ndepths:"
    ),
)
# Two columns that are together not unique, two levels of rows without a key, and rows that name none.
BY_PAIRS = Product(
    tables=WITHOUT_KEY.tables
    + """
    CREATE TABLE stamps (order_code text, order_company integer, stamp text);
    CREATE TABLE prints (stamp text, page integer);
    CREATE INDEX ON stamps (order_code, order_company);
    CREATE INDEX ON prints (stamp);
    INSERT INTO stamps VALUES ('A', 1, 'x'), ('A', 1, 'x'), ('B', 2, 'y'), ('A', 2, 'stays'), (NULL, 1, 'stays');
    INSERT INTO prints VALUES ('x', 1), ('x', 1), ('x', 2), ('y', 1), (NULL, 9);
    """,
    catalog=WITHOUT_KEY.catalog.replace(
        "depths:",
        "    stamps: {group: stamp, found_by: ['(order_code, order_company) = orders.(code, company_id)']}\n"
        "    prints: {group: print, found_by: [stamp = stamps.stamp]}\ndepths:",
    ),
)
ONCE = {
    "with a key": JOINED_TWICE,
    "without a key": WITHOUT_KEY,
    "of both companies, with rows below": SHARED_AND_BELOW,
    "by pairs, without keys": BY_PAIRS,
}


@pytest.mark.parametrize("product", ONCE.values(), ids=ONCE)
def test_a_row_to_which_two_rows_of_one_company_lead_goes_once(
    new_world: NewWorld, tmp_path: Path, product: Product
) -> None:
    with standing(new_world, tmp_path, product) as world:
        goes_and_comes_back(world, 1, 2, together=True)
