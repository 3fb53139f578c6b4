"""The key of a tenant, as the archiver's own tables keep it and as people write it."""

from __future__ import annotations

import pytest

from inventory.keys import Key, key_label, key_of_text, key_text


@pytest.mark.parametrize(
    ("key", "text", "people"),
    [
        (13, "13", "13"),
        ("13", '"13"', "13"),
        ("Ecole d'ete", '"Ecole d\'ete"', "Ecole d'ete"),
        ("é\n", '"é\\n"', "é\n"),
        ((2013, "0042"), '[2013,"0042"]', "2013-0042"),
        ((-1, 7), "[-1,7]", "[-1,7]"),
        (("a-b", 1), '["a-b",1]', '["a-b",1]'),
    ],
)
def test_each_shape_of_key_has_one_text_that_reads_back(key: Key, text: str, people: str) -> None:
    assert (key_text(key), key_of_text(text), key_label(key)) == (text, key, people)


@pytest.mark.parametrize("text", ["", "1.5", "null", "true", "[]", "[[1]]", "{}", "[true]"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        key_of_text(text)
