"""What is typed into a search: conditions are taken out of words, and what cannot be is said."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model.data_types import Standing
from entrepot.model.errors import Invalid
from entrepot.model.search_terms import Between, FactIs, TextIs, flat_facts, parse
from entrepot.model.values import Kind


def test_conditions_are_taken_out_of_words() -> None:
    found = parse("adelie kind:files tag:lab penguin type:FASTQ standing:bad facts.reads:>1000")
    assert found.words.split() == ["adelie", "penguin"]
    assert (found.kinds, found.tags, found.types, found.standings) == (
        (Kind.FILES,),
        ("lab",),
        ("fastq",),
        (Standing.BAD,),
    )
    assert found.facts == (FactIs("reads", Between(1000, math.inf, open_least=True)),)
    assert found.of_files


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("12", Between(12, 12)),
        (">=1.5", Between(1.5, math.inf)),
        ("<-3", Between(-math.inf, -3, open_most=True)),
        ("<=1e6", Between(-math.inf, 1e6)),
        ("10..20", Between(10, 20)),
        ("0.5..1.5", Between(0.5, 1.5)),
        ("Liver", TextIs("liver")),
        ("liv*", TextIs("liv", begins=True)),
        ('"liver 2"', TextIs("liver 2")),
        ('"12"', TextIs("12")),
        ("nan", TextIs("nan")),
        ("a..b", TextIs("a..b")),
    ],
)
def test_a_value_is_a_number_a_range_or_a_text(value: str, wanted: object) -> None:
    assert parse(f"facts.a.b-c:{value}").facts == (FactIs("a.b-c", wanted),)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("facts.reads:", "nothing behind facts.reads:"),
        ("facts.reads:>many", "which is no number"),
        ("kind:folder", "kind is one of files, table, records"),
        ("standing:fine", "standing is one of good, bad"),
        (" ".join(["tag:a"] * 9), "9 conditions; 8 are allowed"),
    ],
)
def test_what_cannot_be_is_said(query: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parse(query)


@pytest.mark.parametrize("query", ["http://a.b/c", "a:b", "xkind:files", "facts:1", 'say "tag', "10:30"])
def test_other_words_with_a_colon_are_words(query: str) -> None:
    assert parse(query).words == query
    assert not parse(query).conditions


@given(st.text(max_size=200))
def test_whatever_is_typed_is_read_or_refused(query: str) -> None:
    with contextlib.suppress(Invalid):
        parse(query)


def test_facts_are_flattened_and_bounded() -> None:
    facts = {"reads": 3, "read_length": {"max": 4.5}, "samples": ["A", "B", "A"], "paired": True, "none": None, "": ""}
    assert flat_facts(facts) == [
        ("reads", 3.0, None),
        ("read_length.max", 4.5, None),
        ("samples", None, "a"),
        ("samples", None, "b"),
        ("paired", None, "true"),
    ]
    assert len(flat_facts({"many": list(range(1000))})) == 20
    assert len(flat_facts({f"k{n}": n for n in range(1000)})) == 100
    assert max(len(text or "") for _, _, text in flat_facts({"long": "x" * 1000})) == 200
