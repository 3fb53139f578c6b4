"""`python -m tests.torture`: all that is too long for `make test`, then the numbers of tries and of rows lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.torture import ledger


def main() -> int:
    """Run it with pytest's arguments, and return its exit code; the numbers are printed however it ended."""
    # In one process: an interrupt then stops the servers, too.
    ending = pytest.main([str(Path(__file__).with_name("full.py")), "-n", "0", *sys.argv[1:]])
    sys.stdout.write(f"{ledger.summary()}\n")
    return int(ending)


if __name__ == "__main__":
    sys.exit(main())
