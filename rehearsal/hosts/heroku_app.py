"""`heroku VERB`, on the control host: stands for the platform's tool, as far as the product's app goes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from errors import UsageError
from rehearsal.files import write_json
from rehearsal.hosts.command import Here, alone, main, now
from rehearsal.hosts.switches import look, put
from rehearsal.layout import Layout

VARIABLE = "WAREHOUSE_URL"


def warehouse_url(target: str) -> str:
    """Where the app finds a warehouse, by its farm's own DNS name."""
    return f"postgres://{target}/warehouse"


def start_app(layout: Layout) -> None:
    """Starts the app with what it is told of now."""
    write_json(layout.app_running, {"url": look(layout.configured), "started_at": now()})


def configure(here: Here, words: Sequence[str]) -> str:
    """Tells the app of a warehouse; it goes on with the one it was started with."""
    name, _, url = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if name != VARIABLE or not url:
        raise UsageError(f"Expected {VARIABLE}=URL, got {' '.join(words) or 'nothing'}.")
    return put(here.lab.layout.configured, url)


def configured(here: Here, words: Sequence[str]) -> str:
    """Which warehouse the app is told of."""
    if list(words) != [VARIABLE]:
        raise UsageError(f"Expected {VARIABLE}, got {' '.join(words) or 'nothing'}.")
    return look(here.lab.layout.configured)


def restart(here: Here, words: Sequence[str]) -> str:
    """Starts the app anew."""
    alone(words)
    start_app(here.lab.layout)
    return ""


def running(here: Here, words: Sequence[str]) -> str:
    """With what the app runs, and since when, as JSON."""
    alone(words)
    return json.dumps(json.loads(look(here.lab.layout.app_running)))


if __name__ == "__main__":
    main(
        "heroku",
        {"config:set": configure, "config:get": configured, "ps:restart": restart, "ps:running": running},
    )
