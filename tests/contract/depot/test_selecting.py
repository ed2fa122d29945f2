"""Lists by conditions: the same on both databases, and nothing told that the caller may not know."""

from __future__ import annotations

from typing import Any

import pytest

from entrepot.catalog import filtering
from entrepot.depot import copies, entries, selecting, trash, versions
from entrepot.depot.entries import Describe, Remove, commit
from entrepot.depot.versions import VersionChanges
from entrepot.model import tag_text
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.errors import Forbidden, Invalid, Unauthenticated
from entrepot.model.queries import All, Compare, Condition, Contains, Either, IsNull, Not, Operator, Order, Query
from entrepot.model.values import Kind, Role, Visibility
from tests.support.house import House


def equal(field: str, value: Any, **more: Any) -> Compare:
    return Compare(tuple(field.split(".")), Operator.EQUAL, value, "here", **more)


def names(house: House, actor: Actor, *where: Condition, order: tuple[Order, ...] = (), **more: Any) -> list[str]:
    return [one.version.name for one in selecting.versions(house.depot, actor, Query(where, order, **more))]


@pytest.fixture
def birds(house: House) -> Actor:
    """Somebody with three datasets in a project of a team."""
    alice = house.user("alice")
    house.team("lab", alice=Role.WRITE)
    project = house.project(alice, "Birds", team="lab")
    house.version(alice, project, "gull", tags=("sea", "white"), description="Larus 100%_")
    owl = house.version(alice, project, "owl", tags=("night",), visibility=Visibility.LISTED)
    house.put(alice, owl, {"d/a.txt": b"a", "b.txt": b"b"})
    house.clock.move(days=1)
    house.version(alice, project, "Penguin")
    house.version(alice, project, "table", kind=Kind.TABLE)
    return alice


#: Conditions, and whom they leave. One test for all of them: a house takes longer to build than all of these to ask.
CONDITIONS: list[tuple[tuple[Condition, ...], list[str]]] = [
    ((), ["Penguin", "gull", "owl"]),
    ((equal("name", "owl"),), ["owl"]),
    ((equal("name", "OWL"),), []),
    ((equal("name", "OWL", ignore_case=True),), ["owl"]),
    ((Not(equal("name", "owl")),), ["Penguin", "gull"]),
    ((Contains(("name",), "ul", "x"),), ["gull"]),
    ((Contains(("name",), "PEN", "x"),), []),
    ((Contains(("name",), "PEN", "x", ignore_case=True),), ["Penguin"]),
    ((Contains(("description",), "%_", "x"),), ["gull"]),
    ((Contains(("description",), "0_", "x"),), []),
    ((equal("number", 1),), ["Penguin", "gull", "owl"]),
    ((equal("number", "1"),), ["Penguin", "gull", "owl"]),
    ((equal("number", 1.5),), []),
    ((equal("previous_version", -1), equal("open", True)), ["owl"]),
    ((equal("open", "false"),), ["Penguin", "gull"]),
    ((IsNull(("trashed_at",), "x"),), ["Penguin", "gull", "owl"]),
    ((Not(IsNull(("trashed_at",), "x")),), []),
    ((Not(equal("trashed_at", "2026-01-01")),), ["Penguin", "gull", "owl"]),
    ((Compare(("created_at",), Operator.LESS, "2026-01-03T00:00:00+00:00", "x"),), ["gull", "owl"]),
    ((Compare(("created_at",), Operator.AT_LEAST, "2026-01-03T12:00:00+13:00", "x"),), ["Penguin"]),
    ((equal("tags", "sea, white"),), ["gull"]),
    ((Contains(("tags",), "night", "x"),), ["owl"]),
    ((equal("project.team.name", "lab"),), ["Penguin", "gull", "owl"]),
    (
        (equal("project.name", "birds", ignore_case=True), equal("creator.name", "alice")),
        ["Penguin", "gull", "owl"],
    ),
    ((Contains(("licence", "name"), "Propriet", "x"),), ["Penguin", "gull", "owl"]),
    ((equal("entries.path", "d/a.txt"),), ["owl"]),
    ((Contains(("entries", "path"), ".txt", "x"),), ["owl"]),
    ((Not(Contains(("entries", "path"), "a", "x")),), ["Penguin", "gull"]),
    ((IsNull(("entries", "path"), "x"),), ["Penguin", "gull"]),
    ((Either((equal("name", "owl"), All((equal("name", "gull"), equal("number", 1))))),), ["gull", "owl"]),
    ((Not(Either((equal("name", "owl"), equal("name", "gull")))),), ["Penguin"]),
    ((equal("name", "a\x00b"),), []),
    ((Compare(("name",), Operator.GREATER, "h", "x"),), ["owl"]),
]


def test_conditions(house: House, birds: Actor) -> None:
    for where, found in CONDITIONS:
        assert sorted(names(house, birds, *where)) == found, where


def test_order(house: House, birds: Actor) -> None:
    assert names(house, birds, order=(Order(("created_at",), "x", ascending=False), Order(("name",), "x"))) == [
        "Penguin",
        "gull",
        "owl",
    ]
    assert names(house, birds, order=(Order(("n",), "x", ascending=False),)) == ["Penguin", "owl", "gull"]
    versions.update(house.depot, birds, _n(house, birds, "gull"), VersionChanges(alias="x"))
    trash.trash(house.depot, birds, _n(house, birds, "gull"))
    by_end = (Order(("trashed_at",), "x", nulls_first=False), Order(("name",), "x", ascending=False))
    assert names(house, birds, order=by_end, inactive=True)[0] == "gull"
    by_end = (Order(("trashed_at",), "x", nulls_first=True), Order(("n",), "x"))
    assert names(house, birds, order=by_end, inactive=True) == ["owl", "Penguin", "gull"]
    assert "gull" not in names(house, birds)


def _n(house: House, actor: Actor, name: str) -> int:
    return next(iter(selecting.versions(house.depot, actor, Query((equal("name", name),))))).version.n


WRONG: list[Condition] = [
    equal("nope", 1),
    equal("project.secret", 1),
    equal("number", "x"),
    equal("number", True),
    equal("number", 2**63),
    equal("number", "--5"),
    equal("name", 5),
    equal("open", 1),
    equal("created_at", "yesterday"),
    equal("created_at", 5),
    Compare(("open",), Operator.LESS, "true", "here"),
    Contains(("number",), "1", "here"),
]


def test_what_is_wrong_names_its_place(house: House, birds: Actor) -> None:
    for wrong in WRONG:
        with pytest.raises(Invalid, match=r"^here: ") as caught:
            selecting.versions(house.depot, birds, Query((wrong,)))
        assert caught.value.details["at"] == "here"
    with pytest.raises(Invalid, match=r"^there: "):
        selecting.versions(house.depot, birds, Query(order=(Order(("entries", "path"), "there"),)))


def test_what_an_outsider_may_not_see_cannot_be_asked_for(house: House, birds: Actor) -> None:
    """A listed version shows its record; whose project it lies in, who made it and what is in it are not part of it."""
    stranger = house.user("stranger")
    for actor in (stranger, ANONYMOUS):
        assert names(house, actor) == ["owl"]
        for guess in (
            equal("project.name", "Birds"),
            equal("project.team.name", "lab"),
            equal("creator.name", "alice"),
            equal("entries.path", "d/a.txt"),
            Not(IsNull(("project", "name"), "x")),
        ):
            assert names(house, actor, guess) == [], guess
            assert names(house, actor, Not(guess)) == ["owl"], guess
        assert names(house, actor, IsNull(("project", "name"), "x")) == ["owl"]
        assert names(house, actor, equal("licence.name", "Proprietary"), equal("tags", "night")) == ["owl"]


def test_files_are_those_of_the_newest_revision_of_each_version(house: House, birds: Actor) -> None:
    n = _n(house, birds, "owl")
    second = copies.copy(house.depot, birds, n)
    commit(house.depot, birds, n, [Remove("d/a.txt"), Describe("b.txt", "seen")])
    found = selecting.versions(house.depot, birds, Query((equal("entries.path", "d/a.txt"),)))
    assert [one.version.n for one in found] == [second.n]
    found = selecting.versions(house.depot, birds, Query((equal("entries.metadata", "seen"),)))
    assert [one.version.n for one in found] == [n]


def test_a_text_of_tags_counts_as_long_as_it_means_them(house: House, birds: Actor) -> None:
    n = _n(house, birds, "owl")
    tags = ("b", "ä")
    changes = VersionChanges(tags=tags, properties=tag_text.kept("b,ä,", tags))
    changed = versions.update(house.depot, birds, n, changes)
    assert tag_text.shown(changed.tags, changed.properties) == "b,ä,"
    assert names(house, birds, equal("tags", "b,ä,")) == ["owl"]
    versions.update(house.depot, birds, n, VersionChanges(tags=("b", "c")))
    assert names(house, birds, equal("tags", "b,ä,")) == []
    assert names(house, birds, equal("tags", "b, c")) == ["owl"]


def test_the_other_nouns(house: House, birds: Actor) -> None:
    depot = house.depot
    stranger = house.user("stranger")
    mine = [one.project.name for one in selecting.projects(depot, birds, Query())]
    assert mine == ["alice", "Birds"]
    assert [one.project.name for one in selecting.projects(depot, birds, Query((equal("team.name", "lab"),)))] == [
        "Birds"
    ]
    assert [one.project.name for one in selecting.projects(depot, stranger, Query())] == ["stranger"]
    assert [one.team.name for one in selecting.teams(depot, birds, Query((Contains(("name",), "a", "x"),)))] == [
        "~alice",
        "lab",
    ]
    assert len(list(selecting.teams(depot, house.admin, Query()))) == 4
    by_name = Query((equal("name", "ALICE", ignore_case=True),))
    assert [one.name for one in selecting.users(depot, house.admin, by_name)] == ["alice"]
    found = list(selecting.licences(depot, birds, Query(order=(Order(("name",), "x", ascending=False),))))
    assert len(found) == 14
    assert list(selecting.nodes(depot, house.admin, Query())) == []
    for listing in (selecting.users, selecting.nodes):
        with pytest.raises(Forbidden):
            listing(depot, birds, Query())
    for listing in (selecting.projects, selecting.teams, selecting.licences):
        with pytest.raises(Unauthenticated):
            listing(depot, ANONYMOUS, Query())


def test_a_list_of_many_pages_keeps_its_order(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtering, "PAGE", 7)
    alice = house.user("alice")
    for i in range(25):
        house.version(alice, name=f"v{i:02}")
    found = names(house, alice, order=(Order(("name",), "x", ascending=False),))
    assert found == [f"v{i:02}" for i in reversed(range(25))]


def test_entries_come_with_the_list_by_few_questions_and_only_to_readers(house: House, birds: Actor) -> None:
    """Changed and unchanged copies, older ones, empty ones, and one that is read on its own."""
    owl = _n(house, birds, "owl")
    made = [copies.copy(house.depot, birds, owl) for _ in range(5)]
    commit(house.depot, birds, made[0].n, [Describe("d/a.txt", "changed")])
    commit(house.depot, birds, made[1].n, [Remove("d/a.txt")])
    commit(house.depot, birds, owl, [Describe("d/a.txt", "newer")])
    found = {
        one.version.n: [(entry.path, entry.sha256, entry.metadata) for entry in files]
        for one, files in selecting.with_entries(house.depot, birds, Query())
    }
    alone = {
        n: [(entry.path, entry.sha256, entry.metadata) for entry in entries.iterate(house.depot, birds, n)[2]]
        for n in found
    }
    assert found == alone
    assert any(found.values())
    # The record of an owl is for everybody, the names of its files are not.
    shown = [list(files) for _, files in selecting.with_entries(house.depot, house.user(), Query())]
    assert shown == [[]] * 6


def test_a_longer_list_takes_no_more_questions(house: House, birds: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = type(house.depot.catalog).read

    def counted(self: Any, *a: Any, **k: Any) -> Any:
        asked.append(1)
        return read(self, *a, **k)

    monkeypatch.setattr(type(house.depot.catalog), "read", counted)

    def questions() -> int:
        asked.clear()
        assert all(list(files) or True for _, files in selecting.with_entries(house.depot, birds, Query()))
        return len(asked)

    for n in range(3):
        house.put(birds, house.version(birds), {f"{n}": b"%d" % n})
    few = questions()
    for n in range(12):
        house.put(birds, house.version(birds), {f"{n}": b"more %d" % n})
    assert questions() == few
