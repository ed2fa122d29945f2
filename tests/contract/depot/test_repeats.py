"""A request under an idempotency key does its work once, wherever its process dies."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from entrepot.catalog import events
from entrepot.catalog.connection import Connection
from entrepot.catalog.failures import NotYet
from entrepot.depot import copies, entries, idempotency, lookup, projects, relationships, tokens, trash, versions
from entrepot.depot.entries import Remove
from entrepot.depot.idempotency import Claim, Done, carrying_out
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Action
from entrepot.model.errors import Conflict, InProgress, NotFound
from entrepot.model.values import Event, Numbering, Scope
from tests.support.house import House

KEY = "4c4f6b5e"
REQUEST = idempotency.fingerprint(b"POST", b"/somewhere", b"", b"{}")

Work = Callable[[], Any]


class Desk:
    """Somebody with two versions of files, and what they might ask for."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._counter = itertools.count()
        self.alice = house.user("alice")
        self.one, self.two = house.version(self.alice), house.version(self.alice)
        house.put(self.alice, self.one, {"a": b"1"})
        house.put(self.alice, self.two, {"b": b"2"})
        house.clock.move(seconds=1)
        depot, alice = house.depot, self.alice
        # What is refused the second time would prove nothing: most of these can be done twice.
        self.works: dict[str, Work] = {
            "create": lambda: versions.create(depot, alice, None, NewVersion("penguins", numbering=Numbering.NEXT)),
            "commit": lambda: entries.commit(depot, alice, self.one.n, [entries.Describe("a", "text")]),
            "clear": lambda: entries.clear(depot, alice, self.one.n),
            "restore": lambda: entries.restore(depot, alice, self.one.n, 0),
            "merge": lambda: copies.merge(depot, alice, self.one.n, self.two.n),
            "merge and delete": lambda: copies.merge(depot, alice, self.one.n, self.two.n, delete=True),
            "copy": lambda: copies.copy(depot, alice, self.one.n),
            "relationship": lambda: relationships.create(
                depot, alice, NewRelationship(self.one.n, self.two.n, "derived_from", note=self.fresh())
            ),
            "token": lambda: tokens.create(depot, alice, scope=Scope.READ),
            "project": lambda: projects.create(depot, alice, self.fresh()),
            "trash": lambda: trash.trash(depot, alice, self.one.n),
        }

    def fresh(self) -> str:
        return f"{next(self._counter)}"

    def claim(self, request: bytes = REQUEST) -> Any:
        return idempotency.claim(self.house.depot, self.alice, KEY, request)

    def mine(self) -> Claim:
        claimed = self.claim()
        assert isinstance(claimed, Claim)
        return claimed

    def events(self) -> list[Event]:
        with self.house.depot.catalog.read() as conn:
            return events.page(conn, before=None, limit=1000)


@pytest.fixture
def desk(house: House) -> Desk:
    return Desk(house)


WORKS = (
    "create",
    "commit",
    "clear",
    "restore",
    "merge",
    "merge and delete",
    "copy",
    "relationship",
    "token",
    "project",
    "trash",
)


def test_every_work_is_listed(desk: Desk) -> None:
    assert set(WORKS) == set(desk.works)


@pytest.mark.parametrize("name", WORKS)
def test_who_dies_after_the_work_leaves_a_key_that_says_what_was_done(desk: Desk, name: str) -> None:
    depot = desk.house.depot
    with carrying_out(depot, desk.mine()):
        desk.works[name]()
    done = desk.events()
    # Neither kept nor released: the process is gone. Long after its claim, and up to a day, the work is not done again.
    for passed in (timedelta(0), idempotency.LEASE, depot.policy.idempotency_lifetime - 2 * idempotency.LEASE):
        desk.house.clock.at += passed
        found = desk.claim()
        assert isinstance(found, Done), passed
        told = [(one.verb, one.version, one.revision, one.subject) for one in found.deeds]
        new = [one for one in reversed(done) if one.at == done[0].at]
        assert told == [(one.verb, one.version, one.revision, one.subject) for one in new]
    with pytest.raises(Conflict, match="another request"):
        desk.claim(b"other")


@pytest.mark.parametrize("name", WORKS)
def test_who_dies_before_the_work_is_followed_by_a_repeat_that_does_it(desk: Desk, name: str) -> None:
    before = len(desk.events())
    desk.mine()
    with pytest.raises(InProgress):
        desk.claim()
    desk.house.clock.at += idempotency.LEASE
    with carrying_out(desk.house.depot, desk.mine()):
        desk.works[name]()
    assert len(desk.events()) > before
    assert isinstance(desk.claim(), Done)


@pytest.mark.parametrize("name", WORKS)
def test_a_server_that_starts_lets_repeats_of_what_died_with_the_last_one_go_on_at_once(desk: Desk, name: str) -> None:
    before = len(desk.events())
    dead = desk.mine()
    idempotency.release_all(desk.house.depot)
    mine = desk.mine()
    # Should it be alive after all, it does nothing.
    with carrying_out(desk.house.depot, dead), pytest.raises(InProgress):
        desk.works[name]()
    with carrying_out(desk.house.depot, mine):
        desk.works[name]()
    assert len(desk.events()) > before
    idempotency.release_all(desk.house.depot)
    assert isinstance(desk.claim(), Done), "what was done stays known"


@pytest.mark.parametrize("name", [name for name in WORKS if name != "trash"])
def test_who_comes_back_from_the_dead_finds_the_work_done_and_does_nothing(desk: Desk, name: str) -> None:
    slow = desk.mine()
    desk.house.clock.at += idempotency.LEASE
    quick = desk.mine()
    before = desk.events()
    with carrying_out(desk.house.depot, slow), pytest.raises(InProgress):
        desk.works[name]()
    assert desk.events() == before
    with carrying_out(desk.house.depot, quick):
        desk.works[name]()
    once = desk.events()
    with carrying_out(desk.house.depot, slow), pytest.raises(InProgress):
        desk.works[name]()
    assert desk.events() == once
    idempotency.release(desk.house.depot, slow)
    idempotency.keep(desk.house.depot, slow, status=500, headers={}, body=b"")
    assert isinstance(desk.claim(), Done)


def test_an_error_after_the_work_does_not_give_the_key_back(desk: Desk) -> None:
    mine = desk.mine()
    with carrying_out(desk.house.depot, mine):
        desk.works["copy"]()
    idempotency.release(desk.house.depot, mine)
    assert isinstance(desk.claim(), Done)
    idempotency.keep(desk.house.depot, mine, status=404, headers={}, body=b"it is gone")
    assert isinstance(desk.claim(), Done), "a refusal is no answer to what was done"


def test_work_that_is_refused_leaves_the_key_as_it_was(desk: Desk) -> None:
    mine = desk.mine()
    with carrying_out(desk.house.depot, mine), pytest.raises(NotFound):
        entries.commit(desk.house.depot, desk.alice, desk.one.n, [Remove("nothing")])
    idempotency.release(desk.house.depot, mine)
    assert isinstance(desk.claim(), Claim)


def test_what_changes_nothing_may_be_asked_again(desk: Desk) -> None:
    desk.works["trash"]()
    mine = desk.mine()
    with carrying_out(desk.house.depot, mine):
        desk.works["trash"]()
        entries.known(desk.house.depot, desk.alice, [desk.house.sha256(b"1")])
    desk.house.clock.at += idempotency.LEASE
    assert isinstance(desk.claim(), Claim)


def test_an_answer_that_was_kept_comes_before_what_was_done(desk: Desk) -> None:
    mine = desk.mine()
    with carrying_out(desk.house.depot, mine):
        desk.works["copy"]()
    idempotency.keep(desk.house.depot, mine, status=201, headers={"etag": '"1"'}, body=b"{}")
    found = desk.claim()
    assert isinstance(found, idempotency.Replay)
    assert (found.status, dict(found.headers), found.body) == (201, {"etag": '"1"'}, b"{}")


def test_several_writes_of_one_request_are_told_together(desk: Desk) -> None:
    with carrying_out(desk.house.depot, desk.mine()):
        desk.works["create"]()
        desk.works["copy"]()
    assert [one.verb for one in desk.claim().deeds] == ["version.created", "version.copied"]


def test_what_was_prepared_for_the_work_is_not_the_work(desk: Desk) -> None:
    depot, alice = desk.house.depot, desk.alice
    prepared: list[str] = []

    def prepare(_catalog: object) -> None:
        prepared.append(versions.create(depot, alice, None, NewVersion("made ready")).name)
        with pytest.raises(InProgress):
            desk.claim()

    def work(conn: Connection) -> None:
        if not prepared:
            raise NotYet(prepare)
        held = lookup.hold(conn, alice, desk.one.n, Action.EDIT)
        events.append(conn, "version.updated", at=depot.now(), actor=alice.user, door="native", version=held.version.n)

    with carrying_out(depot, desk.mine()):
        depot.catalog.write(work)
    assert prepared == ["made ready"]
    assert [one.verb for one in desk.claim().deeds] == ["version.updated"]


def test_of_many_deeds_the_first_and_the_last_are_told(desk: Desk) -> None:
    depot, alice = desk.house.depot, desk.alice
    path = "/".join("abcdefghijklmnop")
    with carrying_out(depot, desk.mine()):
        made = projects.create_collection(depot, alice, projects.default(depot, alice).n, path)
        projects.create_collection(depot, alice, projects.default(depot, alice).n, "q")
    deeds = desk.claim().deeds
    assert len(deeds) == 16
    assert made.path == path


def test_a_stolen_catalogue_does_not_tell_what_was_asked(desk: Desk) -> None:
    desk.mine()
    with desk.house.depot.catalog.read() as conn:
        stored = conn.exec_driver_sql("SELECT fingerprint FROM idempotency").scalar_one()
    assert bytes(stored) != REQUEST
