"""The patterns of `.entrepotignore`: a documented subset of what gitignore files mean."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.ignore import IgnoreRules


def left_out(lines: str, path: str, *, is_folder: bool = False) -> bool:
    return IgnoreRules().extended("", lines.split("\n")).leaves_out(path, is_folder=is_folder)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.tmp", "a.tmp"),
        ("*.tmp", "deep/down/a.tmp"),
        ("notes.md", "x/notes.md"),
        ("/notes.md", "notes.md"),
        ("raw/*.bak", "raw/a.bak"),
        ("a?c", "abc"),
        ("[0-9]*.log", "7days.log"),
        ("[!a]x", "bx"),
        ("[]x]", "]"),
        ("**/cache", "cache"),
        ("**/cache", "a/b/cache"),
        ("a/**/z", "a/z"),
        ("a/**/z", "a/b/c/z"),
        ("logs/**", "logs/x/y"),
        ("\\#notes", "#notes"),
        ("\\!important", "!important"),
        ("trailing\\ ", "trailing "),
        ("[open", "[open"),
        ("naïve.txt", "naïve.txt"),
    ],
)
def test_a_pattern_leaves_out(pattern: str, path: str) -> None:
    assert left_out(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.tmp", "a.tmp.keep"),
        ("/notes.md", "x/notes.md"),
        ("raw/*.bak", "raw/deeper/a.bak"),
        ("raw/*.bak", "x/raw/a.bak"),
        ("a?c", "a/c"),
        ("a[/]c", "a/c"),
        ("logs/**", "logs"),
        ("# comment", "# comment"),
        ("", "anything"),
        ("   ", "   "),
        ("a.b", "axb"),
        ("*.tmp", "A.TMP"),
    ],
)
def test_a_pattern_keeps(pattern: str, path: str) -> None:
    assert not left_out(pattern, path)


def test_a_slash_at_the_end_means_folders_only() -> None:
    assert left_out("build/", "src/build", is_folder=True)
    assert not left_out("build/", "src/build")


def test_the_last_line_that_matches_decides() -> None:
    assert not left_out("*.csv\n!keep.csv", "keep.csv")
    assert left_out("!keep.csv\n*.csv", "keep.csv")


def test_the_lines_of_a_folder_count_below_it_only() -> None:
    rules = IgnoreRules().extended("", ["*.log"]).extended("raw", ["!today.log", "/a"])
    assert not rules.leaves_out("raw/today.log", is_folder=False)
    assert rules.leaves_out("today.log", is_folder=False)
    assert rules.leaves_out("raw/a", is_folder=False)
    assert not rules.leaves_out("raw/x/a", is_folder=False)
    assert not rules.leaves_out("raws/a", is_folder=False)


def test_many_stars_do_not_take_for_ever() -> None:
    assert not left_out("*" * 200 + "b", "a" * 2000)
    assert not left_out("*a" * 20 + "b", "a" * 60)


@given(st.text(st.characters(exclude_characters="\r\n"), max_size=30), st.text(max_size=30))
def test_any_text_is_a_pattern(pattern: str, path: str) -> None:
    assert left_out(pattern, path) in (True, False)


@given(st.from_regex(re.compile(r"[a-z]{1,5}(/[a-z]{1,5}){0,3}"), fullmatch=True))
def test_a_path_written_with_a_slash_in_front_is_that_path_alone(path: str) -> None:
    assert left_out(f"/{path}", path)
    assert not left_out(f"/{path}", f"x/{path}")
    assert not left_out(f"/{path}", f"{path}/x")
