"""A version that is made with its files is there with all of them, or was never there."""

from __future__ import annotations

import pytest

from entrepot.depot import projects, versions, whole
from entrepot.depot.entries import Add
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.versions import NewVersion
from entrepot.model.errors import EntrepotError, Invalid, PathTaken, QuotaExceeded
from entrepot.model.values import Kind, Numbering
from tests.support.house import House


def test_it_is_one_version_with_one_revision(house: House) -> None:
    ann = house.user("ann")
    up = house.upload(ann, b"bytes")
    changes = [Add("a.txt", upload=up.uid)]
    made = whole.create(house.depot, ann, None, NewVersion("birds", numbering=Numbering.NEXT), changes, message="m")
    assert (made.version.number, made.revision.number, made.revision.message) == (1, 1, "m")
    assert house.tree(ann, made.version.n) == {"a.txt": b"bytes"}


@pytest.mark.parametrize("case", ["twice", "full", "nothing", "table"])
def test_what_is_refused_leaves_no_version(house: House, case: str) -> None:
    ann = house.user("ann")
    project = house.project(ann)
    up = house.upload(ann, b"bytes")
    changes = [Add("a.txt", upload=up.uid)]
    new = NewVersion("birds")
    wrong: type[EntrepotError]
    if case == "twice":
        changes, wrong = [*changes, Add("a.txt/b", upload=up.uid)], PathTaken
    elif case == "full":
        wrong = QuotaExceeded
        projects.update(house.depot, house.admin, project.n, ProjectChanges(allocation=1))
    elif case == "nothing":
        changes, wrong = [], Invalid
    else:
        new, wrong = NewVersion("birds", kind=Kind.TABLE), Invalid
    with pytest.raises((wrong, Invalid)):
        whole.create(house.depot, ann, project.n, new, changes)
    assert versions.list_versions(house.depot, ann, versions.Filter(project=project.n)).rows == ()
