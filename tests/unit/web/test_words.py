"""Texts on pages: what people wrote, shortened to a line."""

from __future__ import annotations

import pytest

from entrepot.web.words import summary


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("Counts:\n\n- one\n- two [x](y)", "Counts: one · two x"),
        ("1. first\n2) second", "first · second"),
        ("* **a**\n* b", "a · b"),
        ("a - b\n-c\n2024.5 is no item", "a - b -c 2024.5 is no item"),
        ("# Head\n\ntext *with* marks", "Head text with marks"),
    ],
)
def test_a_summary_is_one_line_and_keeps_items_of_a_list_apart(written: str, line: str) -> None:
    assert summary(written) == line
