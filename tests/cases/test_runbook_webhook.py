"""Messages that a webhook does not accept are lost once, with a warning, and the night's thread survives any answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest

from runbooks.night.webhook import Webhook
from tests import web
from tests.webhooks import serving

NEWS = {"text": "Cutover of 2014-08-15: the night begins", "event": "began"}
SECRET = "s3cr3t"


@contextmanager
def redirecting(status: int) -> Iterator[tuple[str, list[bytes]]]:
    """Yield a webhook that redirects every post to another page, and the messages posted there."""
    arrived: list[bytes] = []

    class Handler(web.Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/login"):
                arrived.append(body)
                self.send_response(200)
            else:
                self.send_response(status)
                self.send_header("Location", "/login")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with web.serving(Handler) as address:
        yield f"{address}/hook-{SECRET}", arrived


def posted(url: str) -> list[str]:
    """Return the operator's warnings when something is posted there."""
    warnings: list[str] = []
    Webhook(url, warnings.append).post([NEWS, NEWS])
    assert SECRET not in "".join(warnings)
    return warnings


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_webhook_that_redirects_gets_the_message_or_the_operator_a_warning(status: int) -> None:
    with redirecting(status) as (url, arrived):
        warnings = posted(url)
    assert len(warnings) == 1 or len(arrived) == 2


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirection_that_keeps_a_post_is_warned_of(status: int) -> None:
    """Proves that these, which the library does not follow, are well."""
    with redirecting(status) as (url, _):
        assert len(posted(url)) == 1


@pytest.mark.parametrize("status", [404, 429])
def test_a_webhook_that_refuses_is_reported_with_its_status(status: int) -> None:
    with serving() as inbox:
        inbox.status = status
        (warning,) = posted(inbox.url)
    assert str(status) in warning


@pytest.mark.parametrize("url", [f"http://[::1/{SECRET}", f"https://[hooks]/{SECRET}"])
def test_an_invalid_url_is_a_warning(url: str) -> None:
    assert len(posted(url)) == 1
