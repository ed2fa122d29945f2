"""Rights are what they are now: doors narrow them, credentials bound them, and what they rested on may be gone.

With the people and the table of roles of `tests.support.matrix`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from entrepot.depot import (
    copies,
    credentials,
    entries,
    members,
    nodes,
    objects,
    passwords,
    projects,
    sessions,
    slots,
    teams,
    tokens,
    trash,
    users,
    versions,
)
from entrepot.depot.credentials import Bearer
from entrepot.depot.entries import Add
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.slots import NewSlot
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.access import ANONYMOUS, RULES, STAFF_ONLY, Action, Actor, Rule
from entrepot.model.errors import BadSignature, Forbidden, Gone, Hidden, Trashed, Unauthenticated, WrongState
from entrepot.model.values import Kind, Project, Role, Scope, Version, Visibility
from tests.support.deeds import Judge, as_invalid, as_missing, copied_away, from_ones_own, of_project
from tests.support.matrix import CONTENT, EDIT, MEMBER, PRIVATE, PUBLIC, STAFF, Cast, Row, cast, table
from tests.support.use_cases import CASES
from tests.support.walk import allow, drawn, every, refuse, wrong

__all__ = ["cast"]


# Doors


#: What a dialect takes back of what the table gives: the column of the table beside the roles, as written down.
#: There content is always the members' alone, merging needs the right to edit on both sides, and what brings back or
#: removes for good is the staff's.
NARROW = {
    Action.READ_CONTENT: Rule(Role.READ),
    Action.MERGE_SOURCE: RULES[Action.EDIT],
    Action.REINSTATE: STAFF_ONLY,
    Action.PURGE: STAFF_ONLY,
    Action.REINSTATE_PROJECT: STAFF_ONLY,
    Action.PURGE_PROJECT: STAFF_ONLY,
    Action.VIEW_PEOPLE: STAFF_ONLY,
}

#: How the table reads there. A merge that deletes its source needs no more there than here: its files live on.
NARROWED: Mapping[str, Row | Judge] = {
    **{name: MEMBER for name, case in CASES.items() if case.row is CONTENT},
    "resolving.resolve of an entry": as_missing(MEMBER),
    "copies.copy away": copied_away(MEMBER),
    "copies.merge from": from_ones_own(EDIT),
    "copies.merge into": EDIT,
    "merging.preview from": from_ones_own(EDIT),
    "merging.preview into": EDIT,
    "trash.reinstate": STAFF,
    "trash.reinstate_many": as_invalid(STAFF),
    "trash.purge": STAFF,
    "trash.purge of the trash": STAFF,
    "collection.frees": STAFF,
    "collection.frees_part": STAFF,
    "projects.reinstate": of_project(STAFF),
    "projects.purge": of_project(STAFF),
}


@pytest.mark.parametrize("name", NARROWED)
def test_a_door_takes_back_what_its_table_takes_back(cast: Cast, name: str) -> None:
    case = replace(CASES[name], row=NARROWED[name])

    def through(actor: Actor) -> Actor:
        return actor.through("narrow", NARROW)

    assert not refuse(cast, case, come=through, share=0.4, seed=name)
    assert not allow(cast, case, come=through, share=0.1, seed=name)


@pytest.mark.parametrize("name", sorted(CASES.keys() - NARROWED.keys()))
def test_a_door_takes_back_nothing_else(cast: Cast, name: str) -> None:
    assert not allow(cast, CASES[name], come=lambda actor: actor.through("narrow", NARROW), share=0.03, seed=name)


def test_no_door_gives_what_the_table_does_not_give(cast: Cast) -> None:
    """A door whose own table allows everything to everybody."""
    everything = {action: Rule(Role.NONE, everyone=frozenset(Visibility), any_person=True) for action in Action}
    found = {}
    for name, case in CASES.items():
        found[name] = refuse(cast, case, come=lambda actor: actor.through("wide", everything), share=0.1, seed=name)
    assert not {name: lines for name, lines in found.items() if lines}


def test_a_node_adds_to_the_right_to_execute_and_to_no_other(cast: Cast) -> None:
    """Whoever may only read, or nothing, may no more for saying that a machine asks."""
    node = cast.actors["machine", "password"].node
    found = {}
    for name, case in CASES.items():
        cells = [cell for cell in every(cast, case) if cell.expected is not None and cell.who in ("stranger", "reader")]
        asked = ((cell, cast.shown(case.subject, cell.visibility)) for cell in drawn(cells, 0.2, name))
        found[name] = wrong(cast, case, asked, come=lambda actor: actor.acting_for(node))
    assert not {name: lines for name, lines in found.items() if lines}


# What rights rest on


def test_leaving_the_team_acts_on_the_next_request(cast: Cast) -> None:
    person = cast.house.user()
    members.add(cast.depot, cast.owner, cast.team, person.name, Role.WRITE)
    secret = cast.version(PRIVATE)
    cast.house.put(cast.owner, secret, {"b.txt": b"nowhere else"})
    link = objects.sign_entry(cast.depot, person, secret.n, "a.txt")
    upload = cast.house.upload(person, b"late")
    assert versions.get(cast.depot, person, secret.n).role is Role.WRITE
    assert entries.known(cast.depot, person, [cast.house.sha256(b"nowhere else")])
    members.update(cast.depot, cast.owner, cast.team, person.name, Role.READ)
    with pytest.raises(Forbidden):
        entries.commit(cast.depot, person, secret.n, [Add("late", upload=upload.uid)])
    members.remove(cast.depot, cast.owner, cast.team, person.name)
    with pytest.raises(Hidden):
        versions.get(cast.depot, person, secret.n)
    with pytest.raises(BadSignature):
        objects.open_link(cast.depot, link.path)
    assert entries.known(cast.depot, person, [cast.house.sha256(b"nowhere else")]) == set()


@dataclass
class Linked:
    """Somebody with a token, what they write to, and links that they made with it."""

    person: Actor
    by_token: Actor
    project: Project
    version: Version
    reading: list[str]
    writing: str


def linked(cast: Cast, role: Role = Role.WRITE, **more: Any) -> Linked:
    """A member of the team, links to an entry and to an archive, and one that fills a slot."""
    person = cast.house.user()
    members.add(cast.depot, cast.owner, cast.team, person.name, role)
    staff = cast.actors["staff", "password"]
    made = tokens.create(cast.depot, staff, user=person.user, scope=Scope.WRITE, **more)
    by_token = credentials.authenticate(cast.depot, Bearer(made.text), door="native")
    project = cast.house.project(cast.owner, cast.fresh("project"), team=cast.team)
    version = cast.version(PRIVATE, project)
    new = NewVersion(cast.fresh("table"), kind=Kind.TABLE)
    slot = slots.create(cast.depot, cast.owner, project.n, new, [NewSlot("a.csv")])[1][0]
    reading = [
        objects.sign_entry(cast.depot, by_token, version.n, "a.txt").path,
        objects.sign_export(cast.depot, by_token, version.n).path,
    ]
    return Linked(person, by_token, project, version, reading, objects.sign_slot(cast.depot, by_token, slot).path)


def read(cast: Cast, link: str) -> bytes:
    found = objects.open_link(cast.depot, link)
    if isinstance(found, entries.Opened):
        with found.reader as reader:
            return reader.read_at(0, reader.size)
    return b"".join(found.read())


def token_of(it: Linked) -> int:
    assert it.by_token.token is not None
    return it.by_token.token


def user_of(it: Linked) -> int:
    assert it.person.user is not None
    return it.person.user


ENDS: Mapping[str, Callable[[Cast, Linked], Any]] = {
    "their token is revoked": lambda c, it: tokens.revoke(c.depot, it.person, token_of(it)),
    "their token is over": lambda c, it: c.house.clock.move(hours=2),
    "their account is deactivated": lambda c, it: users.deactivate(c.depot, c.house.admin, user_of(it)),
    "their sessions are ended": lambda c, it: sessions.end_all(c.depot, it.person),
    "their password is another": lambda c, it: passwords.set_password(
        c.depot, c.house.admin, user_of(it), "another password"
    ),
    "they left the team": lambda c, it: members.remove(c.depot, c.owner, c.team, user_of(it)),
    "the project went to another team": lambda c, it: projects.update(
        c.depot, c.house.admin, it.project.n, ProjectChanges(team=c.house.team(c.fresh("team"), owner=Role.ADMIN))
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_link_is_worth_what_its_issuer_is_worth_now(cast: Cast, end: str) -> None:
    """One and the same refusal, whatever the reason, and nothing comes of asking."""
    it = linked(cast, expires_at=cast.depot.now() + timedelta(hours=1))
    assert read(cast, it.reading[0]) == b"content"
    assert read(cast, it.reading[1])
    objects.fill_link(cast.depot, it.writing).close()
    ENDS[end](cast, it)
    before = cast.facts()
    for link in it.reading:
        with pytest.raises(BadSignature):
            objects.open_link(cast.depot, link)
    with pytest.raises(BadSignature):
        objects.fill_link(cast.depot, it.writing)
    assert cast.facts() == before


def test_who_may_only_read_from_now_on_keeps_the_links_that_read(cast: Cast) -> None:
    it = linked(cast)
    members.update(cast.depot, cast.owner, cast.team, user_of(it), Role.READ)
    assert read(cast, it.reading[0]) == b"content"
    with pytest.raises(BadSignature):
        objects.fill_link(cast.depot, it.writing)


def test_a_link_made_for_a_machine_ends_with_the_machine(cast: Cast) -> None:
    node = nodes.create(cast.depot, cast.house.admin, cast.fresh("machine"))
    it = linked(cast, Role.EXECUTE, node=node.n)
    objects.fill_link(cast.depot, it.writing).close()
    nodes.deactivate(cast.depot, cast.house.admin, node.n)
    for link in it.reading:
        with pytest.raises(BadSignature):
            objects.open_link(cast.depot, link)
    with pytest.raises(BadSignature):
        objects.fill_link(cast.depot, it.writing)


def test_staff_that_is_staff_no_longer_is_a_stranger_to_its_own_links(cast: Cast) -> None:
    boss = cast.house.user()
    users.update(cast.depot, cast.house.admin, boss.user, users.UserChanges(is_staff=True))
    whole = replace(boss, staff=True)
    secret = cast.version(PRIVATE)
    link = objects.sign_entry(cast.depot, whole, secret.n, "a.txt")
    assert read(cast, link.path) == b"content"
    users.update(cast.depot, cast.house.admin, boss.user, users.UserChanges(is_staff=False))
    with pytest.raises(BadSignature):
        objects.open_link(cast.depot, link.path)


def test_links_into_the_trash(cast: Cast) -> None:
    """Whoever may read there may do so by a link; nothing is written there, and what was purged is gone."""
    for away in (
        lambda it: trash.trash(cast.depot, cast.owner, it.version.n),
        lambda it: projects.trash(cast.depot, cast.owner, it.project.n),
    ):
        it = linked(cast)
        away(it)
        assert entries.get(cast.depot, it.by_token, it.version.n, "a.txt")[2].size == len(b"content")
        assert read(cast, it.reading[0]) == b"content"
        members.remove(cast.depot, cast.owner, cast.team, user_of(it))
        with pytest.raises(BadSignature):
            objects.open_link(cast.depot, it.reading[0])
    it = linked(cast)
    projects.trash(cast.depot, cast.owner, it.project.n)
    with pytest.raises((Gone, Trashed, WrongState)):
        objects.fill_link(cast.depot, it.writing)
    trash.purge(cast.depot, cast.owner, it.version.n)
    for link in it.reading:
        with pytest.raises(Gone):
            objects.open_link(cast.depot, link)


@pytest.mark.parametrize("lent", [False, True], ids=["by a reading token", "by a part of a whole token"])
def test_what_is_made_for_reading_makes_no_link_that_writes(cast: Cast, lent: bool) -> None:
    """Also when the token behind it could write: what is signed in its name may carry less."""
    _, slot = table(cast, PRIVATE)
    reading = (
        replace(cast.actors["keeper", "admin"], scope=Scope.READ, staff=False)
        if lent
        else cast.actors["keeper", "read"]
    )
    link = objects.sign_slot(cast.depot, reading, slot)
    with pytest.raises(BadSignature):
        objects.fill_link(cast.depot, link.path)


def test_a_limited_token_is_a_strangers_outside_of_its_projects(cast: Cast) -> None:
    keeper = cast.actors["keeper", "password"]
    made = tokens.create(cast.depot, keeper, scope=Scope.ADMIN, projects=[cast.project.n])
    inside = credentials.authenticate(cast.depot, Bearer(made.text), door="native")
    here = cast.version(PRIVATE)
    there = cast.mine(keeper)
    assert entries.list_entries(cast.depot, inside, here.n)[2].rows
    with pytest.raises(Hidden):
        versions.get(cast.depot, inside, there.n)
    with pytest.raises(Hidden):
        copies.copy(cast.depot, inside, here.n, project=there.project)
    with pytest.raises(Hidden):
        versions.update(cast.depot, inside, here.n, VersionChanges(project=there.project))
    with pytest.raises((Forbidden, Hidden)):
        projects.create(cast.depot, inside, cast.fresh("project"), team=cast.team)
    assert entries.known(cast.depot, inside, [cast.house.sha256(b"own")]) == set()


def test_a_team_that_goes_takes_its_rights_along(cast: Cast) -> None:
    """From the next request on, for every credential; what it owned is there for staff."""
    owner = cast.house.user()
    team = cast.house.team(cast.fresh("team"))
    members.add(cast.depot, cast.house.admin, team, owner.user, Role.ADMIN)
    project = cast.house.project(owner, cast.fresh("project"), team=team)
    made = cast.house.version(owner, project, cast.fresh("dataset"))
    teams.trash(cast.depot, owner, team)
    for act in (versions.get, entries.list_entries, entries.clear, trash.trash, trash.purge):
        with pytest.raises(Hidden):
            act(cast.depot, owner, made.n)
    with pytest.raises(Hidden):
        projects.get(cast.depot, owner, project.n)
    assert versions.get(cast.depot, cast.actors["staff", "password"], made.n).version.n == made.n


def test_a_role_is_what_it_is_now_and_not_what_it_was_when_the_token_was_made(cast: Cast) -> None:
    person = cast.house.user()
    made = tokens.create(cast.depot, person, scope=Scope.ADMIN)
    by_token = credentials.authenticate(cast.depot, Bearer(made.text), door="native")
    secret = cast.version(PRIVATE)
    able = {
        None: (),
        Role.READ: (entries.list_entries,),
        Role.EXECUTE: (entries.list_entries,),
        Role.WRITE: (entries.list_entries, entries.clear, versions.freeze),
        Role.ADMIN: (entries.list_entries, versions.freeze, versions.unfreeze, entries.clear),
    }
    for role, may in able.items():
        if role is not None:
            members.put(cast.depot, cast.owner, cast.team, person.user, role)
        for act in may:
            act(cast.depot, by_token, secret.n)
        for act in {entries.list_entries, entries.clear, versions.freeze, versions.unfreeze} - set(may):
            with pytest.raises(Hidden if role is None else Forbidden):
                act(cast.depot, by_token, secret.n)


def test_moving_out_of_a_project_takes_the_right_to_delete_there(cast: Cast) -> None:
    """A machine may edit what is there; with its own project as the goal it could carry everything away."""
    machine = cast.actors["machine", "password"]
    secret = cast.version(PRIVATE)
    with pytest.raises(Forbidden):
        versions.update(cast.depot, machine, secret.n, VersionChanges(project=cast.house_of(machine).n))
    assert versions.get(cast.depot, cast.owner, secret.n).version.project == cast.project.n


def test_who_may_only_propose_makes_no_folders(cast: Cast) -> None:
    reader, source = cast.actors["reader", "password"], cast.version(PRIVATE)
    with pytest.raises(Forbidden):
        copies.copy(cast.depot, reader, source.n, collection="made by a reader")
    projects.create_collection(cast.depot, cast.owner, cast.project.n, "made by its owner")
    assert copies.copy(cast.depot, reader, source.n, collection="made by its owner").is_proposal


def test_a_link_without_a_time_of_its_own_ends_with_the_longest_that_is_allowed(cast: Cast) -> None:
    shown = cast.version(PUBLIC)
    link = objects.sign_entry(cast.depot, ANONYMOUS, shown.n, "a.txt", expires_in=timedelta(days=10_000))
    assert link.expires_at <= cast.depot.now() + cast.depot.policy.signed_url_lifetime


def test_nobody_is_let_in_where_the_operator_lets_nobody_in(cast: Cast) -> None:
    closed = replace(cast.depot, policy=replace(cast.depot.policy, anonymous=False))
    with pytest.raises(Unauthenticated):
        credentials.authenticate(closed, None, door="native")
