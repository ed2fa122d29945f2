"""How people name versions, revisions and files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.model import names
from entrepot.model.errors import InvalidName
from entrepot.model.references import Reference, parse_reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lab/penguins", Reference("lab", "penguins")),
        ("lab/penguins/", Reference("lab", "penguins")),
        ("lab/penguins@3", Reference("lab", "penguins", 3)),
        ("lab/penguins@3.17", Reference("lab", "penguins", 3, 17)),
        ("lab/penguins@3.0", Reference("lab", "penguins", 3, 0)),
        ("lab/penguins@3.17/raw/a@b.csv", Reference("lab", "penguins", 3, 17, "raw/a@b.csv")),
        ("lab/penguins/raw", Reference("lab", "penguins", path="raw")),
        ("lab/penguins/raw/", Reference("lab", "penguins", path="raw")),
        ("my.lab-2/plate.7_b@1", Reference("my.lab-2", "plate.7_b", 1)),
        ("lab/Final_2024", Reference("lab", "Final_2024")),
        ("lab/penguins/Größe 1/@2", Reference("lab", "penguins", path="Größe 1/@2")),
    ],
)
def test_reading(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert str(expected) == text.removesuffix("/")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "names no dataset"),
        ("penguins", "names no dataset"),
        ("lab/", "names no dataset"),
        ("lab//", "names no dataset"),
        ("/penguins", "Slug"),
        ("lab/penguins@", "is no version"),
        ("lab/penguins@0", "is no version"),
        ("lab/penguins@03", "is no version"),
        ("lab/penguins@v3", "is no version"),
        ("lab/penguins@3.", "is no version"),
        ("lab/penguins@3.17.1", "is no version"),
        ("lab/penguins@99999999999", "is no version"),
        ("lab/penguins@2147483648", "is no version"),
        ("lab/penguins@1.2147483648", "is no version"),
        ("lab/penguins@٣", "is no version"),
        ("Lab/penguins", "Slug 'Lab'"),
        ("lab/pen guins", "Slug 'pen guins'"),
        ("lab/..", "Slug"),
        ("lab/penguins/../x", "Entry path"),
        ("lab/penguins//x", "Entry path"),
    ],
)
def test_what_is_none_is_refused_with_the_part_that_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(InvalidName, match=reason):
        parse_reference(text)


def test_a_revision_belongs_to_a_version() -> None:
    with pytest.raises(InvalidName, match="without its version"):
        Reference("lab", "penguins", revision=3)
    with pytest.raises(InvalidName, match="not int"):
        parse_reference(3)  # type: ignore[arg-type]


slugs = st.from_regex(r"\A[a-z0-9._-]{1,12}\Z").filter(names._is_slug)
aliases = st.from_regex(r"\A[A-Za-z0-9._-]{1,12}\Z").filter(lambda a: a not in (".", ".."))
paths = st.lists(st.text("abÄ @.", min_size=1, max_size=5).filter(lambda s: s.strip(".")), min_size=1).map("/".join)


@given(slugs, slugs | aliases, st.none() | st.integers(1, 10**9), st.none() | st.integers(0, 10**9), st.none() | paths)
def test_what_is_printed_is_read_back(
    project: str, dataset: str, version: int | None, revision: int | None, path: str | None
) -> None:
    reference = Reference(project, dataset, version, revision if version else None, path)
    assert parse_reference(str(reference)) == reference


@given(st.text() | st.text("ab/@.1-", max_size=30))
def test_reading_raises_nothing_else_and_is_final(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidName:
        return
    assert parse_reference(str(reference)) == reference
