"""`python -m tests.torture`: all that is too long for `make test`, then the numbers of tries and of rows lost."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from tests.torture import ledger


def main() -> int:
    """Run it with pytest's arguments, and return its exit code; the numbers are printed however it ended."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__, allow_abbrev=False)
    parser.add_argument("--tries", help="so many tries of each kind, evenly spread, or `all`")
    asked, words = parser.parse_known_args()
    if asked.tries is not None:
        if asked.tries != ledger.ALL and not (asked.tries.isdecimal() and int(asked.tries)):
            parser.error(f"--tries: expected a number from 1, or {ledger.ALL}, got {asked.tries}")
        os.environ[ledger.TRIES] = asked.tries
    # In one process: an interrupt then stops the servers, too.
    ending = pytest.main([str(Path(__file__).with_name("full.py")), "-n", "0", *words])
    sys.stdout.write(f"{ledger.summary()}\n")
    return int(ending)


if __name__ == "__main__":
    sys.exit(main())
