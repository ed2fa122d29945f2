"""Small promises that doors with clients of their own rest on, on both databases."""

from __future__ import annotations

import pytest

from entrepot.depot import copies, judging, projects, teams, users, versions
from entrepot.depot.versions import VersionChanges
from entrepot.model.access import ANONYMOUS, Action
from entrepot.model.errors import BadCredentials, Forbidden, Hidden, NotFound, Unauthenticated
from entrepot.model.values import Kind, Role
from tests.support.house import House


def test_a_judgement_before_the_body(house: House) -> None:
    alice, bob = house.user("alice"), house.user("bob")
    version = house.version(alice)
    assert judging.on_version(house.depot, alice, version.n, Action.EDIT).n == version.n
    with pytest.raises(Hidden):
        judging.on_version(house.depot, bob, version.n, Action.VIEW_RECORD)
    with pytest.raises(NotFound):
        judging.on_version(house.depot, alice, 999, Action.VIEW_RECORD)
    never_ready = house.version(alice, kind=Kind.TABLE)
    with pytest.raises(NotFound):
        judging.on_version(house.depot, house.admin, never_ready.n, Action.VIEW_RECORD)
    with pytest.raises(Forbidden):
        judging.may_at_all(alice, Action.MANAGE_USERS, "users")
    with pytest.raises(Unauthenticated):
        judging.may_at_all(ANONYMOUS, Action.MANAGE_USERS, "users")
    with pytest.raises(Unauthenticated):
        judging.logged_in(ANONYMOUS)
    assert judging.logged_in(alice) == alice.user


def test_whether_there_is_a_project_is_told_to_everybody(house: House) -> None:
    alice, bob = house.user("alice"), house.user("bob")
    project = house.project(alice)
    for actor in (alice, bob, ANONYMOUS):
        assert judging.project_exists(house.depot, actor, project.n)
        assert not judging.project_exists(house.depot, actor, 999)


def test_a_look_may_ask_for_more_than_seeing(house: House) -> None:
    alice, bob = house.user("alice"), house.user("bob")
    house.team("lab", alice=Role.ADMIN, bob=Role.READ)
    project = house.project(alice, team="lab")
    assert teams.get(house.depot, alice, "lab", action=Action.ADMINISTER_TEAM).team.name == "lab"
    assert projects.get(house.depot, alice, project.n, action=Action.UPDATE_PROJECT).project.n == project.n
    with pytest.raises(Forbidden):
        teams.get(house.depot, bob, "lab", action=Action.ADMINISTER_TEAM)
    with pytest.raises(Forbidden):
        projects.get(house.depot, bob, project.n, action=Action.UPDATE_PROJECT)


def test_an_account_may_begin_inactive(house: House) -> None:
    from entrepot.depot import sessions

    made = users.create(house.depot, house.admin, "later", password="long enough", is_active=False)
    assert not made.is_active
    with pytest.raises(BadCredentials):
        sessions.login(house.depot, "later", "long enough", door="native")
    users.reactivate(house.depot, house.admin, "later")
    assert sessions.login(house.depot, "later", "long enough", door="native").name == "later"


def test_a_copy_takes_along_the_properties_that_it_is_told_to(house: House) -> None:
    alice = house.user("alice")
    version = house.version(alice)
    versions.update(house.depot, alice, version.n, VersionChanges(properties={"a": 1, "b": 2}))
    assert copies.copy(house.depot, alice, version.n).properties == {}
    assert copies.copy(house.depot, alice, version.n, keep=("a", "c")).properties == {"a": 1}
