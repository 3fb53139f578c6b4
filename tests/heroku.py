"""A server that speaks Heroku's Platform API, as far as config vars go, and is as strict with headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests import web

APP, TOKEN = "apangea-staging", "HRKU-5f0e1c2d-not-a-real-one"


@dataclass
class Fake:
    """The API's config vars; a test sets answers that take precedence over them."""

    endpoint: str = ""
    config: dict[str, str] = field(default_factory=dict)
    answers: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)  # status and headers
    asked: list[str] = field(default_factory=list)  # `path: status`

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], object]:
        """Return the answer, as https://devcenter.heroku.com/articles/platform-api-reference has it."""
        if self.answers:
            return *self.answers.pop(0), {"id": "laid", "message": "upon it by the test"}
        if headers["Accept"] != "application/vnd.heroku+json; version=3":
            return 406, {}, {"id": "not_acceptable"}
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {}, {"id": "unauthorized", "message": "Invalid credentials provided."}
        if path != f"/apps/{APP}/config-vars":
            return 404, {}, {"id": "not_found", "message": "Couldn't find that app."}
        return 200, {}, self.config


@contextmanager
def serving(config: Mapping[str, str]) -> Iterator[Fake]:
    """A server while the block runs."""
    fake = Fake(config=dict(config))

    class Handler(web.Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = fake.answer(self.path, dict(self.headers))
            fake.asked.append(f"{self.path}: {status}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    with web.serving(Handler) as address:
        fake.endpoint = address
        yield fake
