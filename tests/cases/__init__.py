"""Faults that strangers found, each as a test of the right behavior: expected to fail until it is mended."""

from __future__ import annotations

import pytest


def case(name: str, fault: str, *, raises: tuple[type[BaseException], ...] = ()) -> pytest.MarkDecorator:
    """Mark a test of a case that is not mended yet, such as `case("archiver 01", "CASCADE takes rows …")`.

    The mark is strict: whoever mends the case must take it away. Only a failed assertion counts as the fault, and
    `raises` where the fault is another exception; so a test that breaks in some other way is noticed.
    """
    expected = raises or (AssertionError, pytest.fail.Exception)
    return pytest.mark.xfail(strict=True, raises=expected, reason=f"{name}: {fault}")
