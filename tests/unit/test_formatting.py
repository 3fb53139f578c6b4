"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from formatting import first_few, many, plural, size


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (24_400, "24 kB"), (9_400_000, "9.4 MB"), (3 * 10**12, "3.0 TB")],
)
def test_bytes_have_two_digits_or_three_and_a_unit(count: int, said: str) -> None:
    assert size(count) == said


def test_one_is_not_a_plural() -> None:
    assert [many(count, "school") for count in (0, 1, 1300)] == ["0 schools", "1 school", "1,300 schools"]


@pytest.mark.parametrize(
    ("noun", "said"),
    [("school", "schools"), ("company", "companies"), ("day", "days"), ("branch", "branches"), ("box", "boxes")],
)
def test_a_noun_is_inflected_as_english_does(noun: str, said: str) -> None:
    assert plural(noun) == said


def test_the_rest_of_many_words_is_counted() -> None:
    assert first_few(["3", "5"]) == "3, 5"
    assert first_few([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
