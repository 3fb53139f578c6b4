"""Needless refusals, and errors that help no operator; nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

import psycopg2
import pytest

from archiver.postgres.session import DatabaseError, connect, parse_dsn
from archiver.store.bucket import Bucket, StorageError
from errors import RefusedError
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests.cases.small_product import Products, carried_or_named, count
from tests.web import Quiet, serving

MOST_COLUMNS = 1600
WIDE = f"""
CREATE TABLE wide (id integer PRIMARY KEY, school_id integer REFERENCES schools,
{", ".join(f"c{number} integer" for number in range(MOST_COLUMNS - 2))});
INSERT INTO wide (id, school_id) VALUES (1, 1);
"""
TEMPORAL = """
CREATE TABLE rooms (
    id integer, school_id integer REFERENCES schools, r daterange, PRIMARY KEY (id, r WITHOUT OVERLAPS)
);
CREATE TABLE bookings (
    n integer PRIMARY KEY, room_id integer, r daterange, FOREIGN KEY (room_id, PERIOD r) REFERENCES rooms (id, PERIOD r)
);
INSERT INTO rooms VALUES (1, 1, '[2014-01-01,2015-01-01)');
INSERT INTO bookings VALUES (1, 1, '[2014-02-01,2014-03-01)');
"""
OWN_SCHEMAS = {
    "its records": "CREATE TABLE archiver.records (id integer); INSERT INTO archiver.records VALUES (7)",
    "a table of another name": "CREATE TABLE archiver.papers (id integer); INSERT INTO archiver.papers VALUES (7)",
    "a view": "CREATE VIEW archiver.boxes AS SELECT 7 AS id",
}
# What a store answers, and with which status; what the library does not know it raises as it stands.
ANSWERS = {
    "ExpiredToken": 400,
    "NotImplemented": 501,
    "PermanentRedirect": 301,
    "RequestTimeTooSkewed": 403,
    "InvalidObjectState": 403,
}


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


def test_a_table_of_the_most_columns_is_carried_or_named(products: Products) -> None:
    with products.product(WIDE) as world:
        carried_or_named(world, "wide")


def test_rows_that_reference_a_key_over_a_period_are_carried_or_named(products: Products) -> None:
    with products.product(TEMPORAL, setup="CREATE EXTENSION btree_gist") as world:
        carried_or_named(world, "bookings", going="bookings WHERE n = 1")


@pytest.mark.parametrize("made", OWN_SCHEMAS.values(), ids=OWN_SCHEMAS)
def test_a_schema_of_the_product_with_the_archivers_name_is_named(products: Products, made: str) -> None:
    name = re.findall(r"archiver\.(\w+)", made)[0]
    with products.product(f"CREATE SCHEMA archiver; {made}") as world:
        with pytest.raises(RefusedError, match=f"schema archiver there is the product's own, with {name}"):
            world.archive(1)

        assert count(world, f"archiver.{name} WHERE id = 7") == 1


def test_the_hint_for_a_lock_also_leads_to_prepared_transactions(empty: str) -> None:
    """At the nearest seam: the tests' server allows no prepared transaction, so a session holds the lock."""
    with closing(psycopg2.connect(empty)) as holding, closing(connect(parse_dsn(empty), name="test")) as session:
        session.execute("CREATE TABLE public.held (id integer); SET lock_timeout = '10ms'")
        holding.cursor().execute("LOCK TABLE held")

        with pytest.raises(DatabaseError) as caught:
            session.execute("DELETE FROM public.held")

    assert any(view in caught.value.hint for view in ("pg_prepared_xacts", "pg_locks"))


class Refusing(Quiet, BaseHTTPRequestHandler):
    """A store that answers every request with the error that the key's last part names, but for a trial of it."""

    tried: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        if self.path in self.tried:
            self._answer(200, self.tried[self.path])
            return
        code = self.path.split("?")[0].rsplit("/", 1)[-1]
        body = f"<Error><Code>{code}</Code><Message>words of the store</Message></Error>".encode()
        self._answer(ANSWERS.get(code, 403), body)

    def do_PUT(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/trials/" not in self.path:
            self.do_GET()
        elif self.path in self.tried:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self.tried[self.path] = text
            self._answer(200, b"")

    def do_DELETE(self) -> None:
        self._answer(200, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"an ETag"')
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the library's word


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """The bucket of such a store."""
    credentials = tmp_path_factory.mktemp("store") / "credentials"
    credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    with serving(Refusing) as endpoint:
        yield Bucket(Store(bucket="archives", prefix="p", endpoint=endpoint, credentials=str(credentials)))


def hint(bucket: Bucket, code: str, path: Path) -> str:
    """Return the hint for a store that answers so."""
    with pytest.raises(StorageError, match=code) as caught:
        bucket.get(code, path)
    return caught.value.hint


@pytest.mark.parametrize("code", ANSWERS)
def test_each_error_of_a_store_has_its_own_hint(refusing: Bucket, tmp_path: Path, code: str) -> None:
    others = {hint(refusing, other, tmp_path / "object") for other in (*ANSWERS, "SomethingElse") if other != code}

    assert hint(refusing, code, tmp_path / "object") not in {"", *others}


@pytest.mark.parametrize("code", ANSWERS)
def test_a_put_that_the_store_refuses_has_the_hint_of_a_fetch(refusing: Bucket, tmp_path: Path, code: str) -> None:
    with pytest.raises(StorageError, match=code) as caught:
        refusing.put_text(code, "a text")

    assert caught.value.hint == hint(refusing, code, tmp_path / "object")


def test_a_bucket_elsewhere_is_named_where_the_answer_has_no_body(refusing: Bucket) -> None:
    with pytest.raises(StorageError, match=r"Reading the metadata of .* failed: the bucket is in another region"):
        refusing.sha256("PermanentRedirect")
