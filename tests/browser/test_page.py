"""The report in a real browser: its parts are there, and on a phone nothing reaches beyond the edge."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest

from runbooks.night.report.html import page
from runbooks.night.report.model import Account
from tests.fakes import SERVERS
from tests.reports import NASTY, at_work, whole

PHONE = 380  # pixels
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
)
# A window can't be as narrow as a phone, a frame can; it is so high that it needs no scroll bar.
# What is cut off on purpose has a title that says all of it.
MEASURE = """
<iframe id="phone" style="border:0;width:{width}px;height:20000px" srcdoc="{page}"></iframe>
<pre id="beyond"></pre>
<script>
addEventListener("load", () => {{
  const inner = document.getElementById("phone").contentDocument;
  const every = [...inner.body.querySelectorAll("*")];
  const cut = every.filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth && !one.title);
  const beyond = every.filter(one => one.getBoundingClientRect().right > {width});
  document.getElementById("beyond").textContent = JSON.stringify(
    [inner.documentElement.scrollWidth, every.length, [...new Set([...cut, ...beyond])].map(one => one.outerHTML)]);
}});
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    """Return the browser's program; these tests run on request only, so its absence is a failure."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium: apt-get install chromium"
    return program


@pytest.fixture(scope="module")
def done() -> Account:
    return whole()


def dom(browser: str, folder: Path, html: str) -> str:
    """Return a browser's DOM of a page, after its scripts ran."""
    (folder / "page.html").write_text(html, encoding="utf-8")
    command = [browser, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", f"file://{folder / 'page.html'}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_all_parts_of_a_night_are_on_the_page(browser: str, tmp_path: Path, done: Account) -> None:
    found = dom(browser, tmp_path, page(done))
    titles = re.findall(r'<article class="card step" data-key="([\w.-]+)"><header><h3>([\d.]+)\. ([^<]+)</h3>', found)
    assert [(key, number, unescape(title)) for key, number, title in titles] == [
        (step.key, step.label, step.title) for step in done.plan.steps
    ]
    for host in (*SERVERS, "control", "watcher", "debug", "warehouse-new"):
        assert f'<span class="name">{host}</span>' in found
    assert found.count('class="proof"') == 9 + 8 * len(SERVERS)
    assert "pg_stat_replication is empty" in found
    assert found.count('class="deed"') == len(done.deeds)
    assert "step 8, Run archiving script: typed the date" in found
    assert "Everything is back on" in found
    bars = [bar for step in done.steps for host in step.hosts for bar in host.work_intervals]
    assert len(re.findall(r'class="bar \w+" style="left:\d+\.\d\d%;width:\d+\.\d\d%" title=', found)) == len(bars) > 45
    assert found.count('class="cost"') == len(done.costs) == 11
    assert NASTY in unescape(found)
    assert "<script" not in found


def test_a_night_at_work_shows_what_is_off_and_when_it_will_be_done(browser: str, tmp_path: Path) -> None:
    found = dom(browser, tmp_path, page(at_work("snapshots.create")))
    assert 'http-equiv="refresh"' in found
    assert "Still off" in found
    assert "<dt>done about</dt>" in found
    assert found.count('<span class="outcome pending">') >= 7


@pytest.mark.parametrize("moment", ["done", "at work"])
def test_nothing_reaches_beyond_the_edge_of_a_phone(browser: str, tmp_path: Path, done: Account, moment: str) -> None:
    html = page(done if moment == "done" else at_work("vacuum.full"))
    found = dom(browser, tmp_path, MEASURE.format(width=PHONE, page=escape(html)))

    measured = re.search(r'<pre id="beyond">\[(\d+),(\d+),(.*)\]</pre>', found)
    assert measured, found[-500:]
    assert measured[3] == "[]"
    assert int(measured[1]) == PHONE
    assert int(measured[2]) > 500
