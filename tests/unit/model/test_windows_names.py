"""Names for machines that cannot store all of ours."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrepot.model import names
from entrepot.model.errors import InvalidName
from entrepot.model.windows_names import is_windows_safe, windows_safe


def _is_path(value: str) -> bool:
    try:
        return names.entry_path(value) == value
    except InvalidName:
        return False


segments = st.text(
    st.one_of(st.characters(exclude_categories=["Cs", "Cc"]), st.sampled_from('<>:"|?* .~conulaxpr1¹$')), min_size=1
)
paths = st.lists(segments, min_size=1, max_size=4).map("/".join).filter(_is_path)


@pytest.mark.parametrize(
    "path", ["a", "raw/plate 7.csv", ".hidden", "console.txt", "com.txt", "com10", "auxiliary", "ü/日本"]
)
def test_what_windows_can_store_stays(path: str) -> None:
    assert is_windows_safe(path)
    assert windows_safe(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "a:b",
        "a?",
        "x/a*b/c",
        "a|b",
        '"a"',
        "<a>",
        "a.",
        "a ",
        "...",
        " ",
        "CON",
        "nul.txt",
        "aux.tar.gz",
        "com1",
        "LPT9.x",
        "com¹",
        "prn .txt",
        "CONIN$",
        "dir./a",
        "nul/a",
        "😀" * 128,
    ],
)
def test_what_it_cannot_is_replaced(path: str) -> None:
    assert not is_windows_safe(path)
    assert is_windows_safe(windows_safe(path))


def test_the_suffix_and_the_rest_of_the_path_stay() -> None:
    safe = windows_safe("plates/a:b.fastq.gz")
    assert safe.startswith("plates/a_b.fastq~")
    assert safe.endswith(".gz")


def test_two_names_do_not_meet_in_one() -> None:
    assert len({windows_safe(p) for p in ("a:b", "a?b", "a_b", "a|b")}) == 4
    assert len({windows_safe(p) for p in ("a", "a.", "a..", "a ", "a. ")}) == 5


@given(paths)
@example("nul.x.txt")
@example(":" * 255)
@example("x" * 250 + ":.fastq")
@example("aux." + "y" * 40)
@example(". .:")
def test_the_safe_path_is_safe_legal_as_deep_and_final(path: str) -> None:
    safe = windows_safe(path)
    assert is_windows_safe(safe)
    assert windows_safe(safe) == safe
    assert safe.count("/") == path.count("/")
    assert (safe == path) == is_windows_safe(path)
