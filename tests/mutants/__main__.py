"""`python -m tests.mutants`: run tests as they are, then under each guard that they pass, switched off."""

from __future__ import annotations

import sys

import pytest

from tests.mutants import plugin, survivors

TESTS = ("tests/unit", "tests/integration", "tests/cases", "tests/matrix")


def main() -> int:
    """Run it with pytest's arguments, and return 1 if a guard survived; interrupted, it goes on where it was."""
    words = sys.argv[1:] or list(TESTS)
    ending = pytest.main(["-n", "0", "-p", "no:cacheprovider", "-p", plugin.__name__, *words])
    sys.stdout.write(survivors.told())
    return int(ending) or int(bool(survivors.without_a_reason()))


if __name__ == "__main__":
    sys.exit(main())
