"""What is in the trash or frozen: to whom it is shown does not change, what may be done to it does.

    trash     read, copied, a source of merges, purged and reinstated; every other write says that it is deleted
    expired   the trash, with that reason
    frozen    takes no content and no moves; its record may be edited, and it leaves and comes back as any other
    a project in the trash: as if each of its versions were there, and none comes back before it

Who is refused is refused as ever, in the same words: nobody learns of a state what they may not know of the thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from entrepot.depot import projects, upkeep, versions
from entrepot.depot.versions import VersionChanges
from entrepot.model.errors import EntrepotError, Frozen, NotFound, Trashed
from entrepot.model.values import Version, Visibility
from tests.support.deeds import Judge
from tests.support.matrix import EDIT, Cast, cast, frozen, in_trash
from tests.support.use_cases import CASES
from tests.support.walk import allow, refuse

__all__ = ["cast"]

#: Of everything that is done to a version, the part of it that is tried in each state.
SHARE = 0.06


def expired(cast: Cast, visibility: Visibility) -> Version:
    made = cast.version(visibility)
    ends = VersionChanges(expires_at=cast.depot.now() + timedelta(seconds=1))
    versions.update(cast.depot, cast.owner, made.n, ends)
    cast.house.clock.move(seconds=2)
    upkeep.expire(cast.depot)
    found = versions.get(cast.depot, cast.owner, made.n).version
    assert found.trash is not None
    assert found.trash.reason == "expired"
    return found


def of_trashed_project(cast: Cast, visibility: Visibility) -> Version:
    project = cast.house.project(cast.owner, cast.fresh("project"), team=cast.team)
    made = cast.version(visibility, project)
    projects.trash(cast.depot, cast.owner, project.n)
    return versions.get(cast.depot, cast.owner, made.n).version


#: What is done beside a version: to its project, to what waits for its first content, or to nothing at all.
BESIDE = ("uploads.", "putting.put_upload", "tasks.", "versions.create", "slots.", "projects.", "history.events")
BESIDE += ("direct.begin", "webhooks.", "deliveries.", "batches.list_batches")
#: Needs an upload that is made on the way; archives that come in have tests of their own.
BESIDE += ("crates.",)
BESIDE += ("whole.", "entries.known", "collection.gc", "ingests.", "relationships.get", "relationships.delete")
TO_IT = tuple(name for name in CASES if not name.startswith(BESIDE) and CASES[name].subject in (Cast.version, in_trash))
#: Of the rest, what changes the version or begins something with it. Merged away it stays as it is, or leaves; an edge
#: to it is its source's.
CONTENT_WRITES = (
    "entries.commit",
    "entries.restore",
    "entries.clear",
    "putting.put_file",
    "unpacking.put_archive",
)
CONTENT_WRITES += ("copies.merge into", "merging.preview into", "reports.declare")
RECORD_WRITES = (
    "versions.update",
    "versions.set_slug",
    "versions.freeze",
    "versions.accept",
    "notes.add",
    "relationships.create from",
    "batches.start",
)
WRITES = tuple(name for name in TO_IT if name.startswith(CONTENT_WRITES + RECORD_WRITES))


@dataclass(frozen=True)
class State:
    """A state, and what whoever else may do it is told in it, by use case."""

    make: Callable[[Cast, Visibility], Version]
    refused: Mapping[str, type[EntrepotError]]


#: The trash has no names: nothing in it is found by one, and a line of which all is there is not shown.
IN_TRASH = dict.fromkeys(WRITES, Trashed) | {"versions.resolve": NotFound, "browse.get_dataset": NotFound}
WITH_ITS_PROJECT = IN_TRASH | dict.fromkeys(
    ("copies.copy", "trash.reinstate", "trash.reinstate_many", "trash.trash of what one copied here oneself"), Trashed
)
FIXED = dict.fromkeys((name for name in WRITES if name.startswith(CONTENT_WRITES)), Frozen)
STATES = {
    "trash": State(in_trash, IN_TRASH),
    "expired": State(expired, IN_TRASH),
    "project in the trash": State(of_trashed_project, WITH_ITS_PROJECT),
    "frozen": State(frozen, FIXED | {"versions.update of the name": Frozen}),
}


def then(judge: Judge, refused: type[EntrepotError] | None) -> Judge:
    return lambda who, how, seen: judge(who, how, seen) or refused


@pytest.mark.parametrize("state", STATES)
def test_who_is_refused_is_refused_as_ever_and_who_may_is_told_the_state(cast: Cast, state: str) -> None:
    found = {}
    for name in TO_IT:
        refused = STATES[state].refused.get(name)
        # That it is deleted is told before anybody asks for the right to make a folder.
        case = replace(CASES[name], row=EDIT) if refused is Trashed and "new folder" in name else CASES[name]
        changed = replace(case, subject=STATES[state].make, row=then(case.expected, refused))
        found[name] = refuse(cast, changed, share=SHARE, seed=state + name)
        found[name] += allow(cast, changed, share=0, seed=state + name)
    assert not {name: lines for name, lines in found.items() if lines}
