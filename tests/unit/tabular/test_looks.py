"""Looking at all bytes at once says of texts what an expression says of each."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.tabular.looks import all_alike, all_plain_integers, decimals_of

NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
TIME = re.compile(r"[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?(Z|[+-][0-9]{2})", re.ASCII)

good = st.decimals(-(10**6), 10**6, places=3).map(str) | st.integers(-999, 999).map(str)
texts = st.lists(st.none() | good | st.text("0019.-e", max_size=4) | st.sampled_from(["", "é", "１", "-", "0.", "\n1"]))
#: Arrays that are pieces of others, as batches are.
cut = st.tuples(st.integers(0, 3), st.integers(0, 40))


@settings(max_examples=100, deadline=None)
@given(st.lists(good, max_size=12) | texts, cut)
def test_plain_numbers_are_what_the_expression_takes(found: list[str | None], cut: tuple[int, int]) -> None:
    array = pa.array(found, pa.string()).slice(*cut)
    wanted = all(NUMBER.fullmatch(one) is not None for one in array.to_pylist() if one is not None)
    written = decimals_of(array)
    assert (written is not None) == wanted
    there = [one for one in array.to_pylist() if one is not None]
    if written is not None and there:
        behind = [len(one.partition(".")[2]) for one in there]
        assert (written.least, written.most) == (min(behind), max(behind))
        assert written.trailing == any(one.endswith("0") and n > 1 for one, n in zip(there, behind, strict=True))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.integers(-(10**20), 10**20).map(str), max_size=12) | texts, cut)
def test_plain_integers_are_what_the_expression_takes(found: list[str | None], cut: tuple[int, int]) -> None:
    array = pa.array(found, pa.string()).slice(*cut)
    wanted = all(INTEGER.fullmatch(one) is not None for one in array.to_pylist() if one is not None)
    assert all_plain_integers(array) == wanted


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | st.from_regex(TIME, fullmatch=True) | st.sampled_from(["", "1o:00Z", "é1:00"])), cut)
def test_texts_that_are_alike_fit_the_form(found: list[str | None], cut: tuple[int, int]) -> None:
    array = pa.array(found, pa.string()).slice(*cut)
    if all_alike(array, TIME):
        assert all(TIME.fullmatch(one) is not None for one in array.to_pylist() if one is not None)


@pytest.mark.parametrize("one", ["10:00Z", "23:59.125+01"])
def test_texts_of_one_make_are_seen_to_be_so(one: str) -> None:
    assert all_alike(pa.array([one, None, one.replace("0", "9"), one]), TIME)
    for bad in (one.replace(":", ";"), one.replace("0", "/").replace("5", "/"), one.replace("9", ":") + " ", one[1:]):
        assert not all_alike(pa.array([one, bad]), TIME)
