"""What a push has to do, from two listings."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.plan import Plan, make_plan


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def tree(**files: str) -> dict[str, str]:
    return {path.replace("__", "/"): digest(text) for path, text in files.items()}


def test_equal_trees_need_nothing() -> None:
    plan = make_plan(tree(a="1", b="2"), tree(a="1", b="2"))
    assert plan.is_empty
    assert plan.unchanged == 2


def test_added_changed_and_removed_are_told_apart() -> None:
    plan = make_plan(tree(a="1", b="new", c="3"), tree(a="1", b="old", d="4"))
    assert plan.added == tree(c="3")
    assert plan.changed == tree(b="new")
    assert plan.removed == ["d"]
    assert plan.unchanged == 1


def test_the_same_bytes_under_another_path_are_a_rename() -> None:
    plan = make_plan(tree(new="x"), tree(old="x"))
    assert plan.renamed == {"new": "old"}
    assert not plan.contents
    assert not plan.removed


def test_a_rename_prefers_the_same_name_then_the_same_folder() -> None:
    plan = make_plan(tree(b__x="1", a__z="1"), tree(a__x="1", a__y="1"))
    assert plan.renamed == {"b/x": "a/x", "a/z": "a/y"}


def test_empty_files_are_not_taken_for_each_other() -> None:
    plan = make_plan(tree(b=""), tree(a=""))
    assert plan.renamed == {}
    assert plan.added == tree(b="")
    assert plan.removed == ["a"]


def test_two_files_that_swapped_names_are_changes() -> None:
    plan = make_plan(tree(a="2", b="1"), tree(a="1", b="2"))
    assert plan.changed == tree(a="2", b="1")
    assert not plan.renamed


def test_keeping_removes_nothing_and_renames_nothing() -> None:
    plan = make_plan(tree(new="x"), tree(old="x", other="y"), keep=True)
    assert plan.added == tree(new="x")
    assert not plan.removed
    assert not plan.renamed


def applied(plan: Plan, remote: dict[str, str]) -> dict[str, str]:
    """What a server makes of it, in the order of a commit."""
    result = dict(remote)
    for path in plan.removed:
        del result[path]
    for new, old in plan.renamed.items():
        assert new not in result
        result[new] = result.pop(old)
    return {**result, **plan.contents}


TREES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", "1", "2", "3"]).map(digest), max_size=8)


@given(TREES, TREES)
def test_applying_a_plan_makes_the_version_equal_to_the_folder(local: dict[str, str], remote: dict[str, str]) -> None:
    plan = make_plan(local, remote)
    assert applied(plan, remote) == local
    assert plan.unchanged + len(plan) == len({*local, *remote}) - len(plan.renamed)


@given(TREES, TREES)
def test_keeping_makes_the_version_the_union(local: dict[str, str], remote: dict[str, str]) -> None:
    assert applied(make_plan(local, remote, keep=True), remote) == {**remote, **local}


@given(TREES, TREES)
def test_content_that_only_moved_is_never_content_to_add(local: dict[str, str], remote: dict[str, str]) -> None:
    plan = make_plan(local, remote)
    gone = [remote[path] for path in plan.removed if remote[path] != digest("")]
    assert not set(gone) & set(plan.added.values())
