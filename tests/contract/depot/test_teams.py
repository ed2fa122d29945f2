"""Teams and their members, and how their end looks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from entrepot.depot import members, projects, teams, users
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, Forbidden, Hidden, Invalid, InvalidName, NameTaken, NotFound, Trashed
from entrepot.model.values import Role
from tests.support.identity import World


def roles_in(world: World, team: str | int) -> dict[str, Role]:
    return {m.user_name: m.role for m in members.list_members(world.depot, world.staff, team).rows}


def test_who_creates_a_team_is_not_made_a_member(world: World) -> None:
    made = teams.create(world.depot, world.staff, "Lab 1")
    assert (made.name, made.creator, made.personal_of) == ("Lab 1", world.staff.user, None)
    assert roles_in(world, made.n) == {}
    (event,) = world.events("team.created")
    assert (event.subject, event.after) == (ids.encode(ids.Noun.TEAM, made.uid), {"name": "Lab 1"})


def test_a_team_is_found_by_number_uid_id_and_name(world: World) -> None:
    made = world.team("Lab 1")
    for key in (made.n, made.uid, ids.encode(ids.Noun.TEAM, made.uid), "Lab 1"):
        assert teams.get(world.depot, world.staff, key).team == made
    for key in (999_999, "team_" + "0" * 32, "Lab 2", "a\x00"):
        with pytest.raises(NotFound):
            teams.get(world.depot, world.staff, key)


def test_names_are_unique_among_active_teams_and_those_of_people_are_reserved(world: World) -> None:
    world.team("lab")
    with pytest.raises(NameTaken):
        world.team("lab")
    with pytest.raises(InvalidName, match="personal"):
        world.team("~lab")


def test_of_many_who_create_one_team_at_once_one_wins(world: World) -> None:
    def attempt(_: int) -> str:
        try:
            return teams.create(world.depot, world.staff, "lab").name
        except NameTaken:
            return "taken"

    _ = world.staff
    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(6))) == ["lab", *["taken"] * 5]


def test_a_rename_is_told_and_the_old_name_is_free(world: World) -> None:
    keeper = world.person("keeper")
    team = world.team("lab", keeper=Role.ADMIN)
    assert teams.rename(world.depot, keeper, team.n, "Laboratory").name == "Laboratory"
    (event,) = world.events("team.updated")
    assert (event.actor_name, event.before, event.after) == ("keeper", {"name": "lab"}, {"name": "Laboratory"})
    world.team("lab")
    with pytest.raises(NameTaken):
        teams.rename(world.depot, keeper, team.n, "lab")


# The trash


def test_a_trashed_team_has_no_members_and_its_projects_stay_for_staff(world: World) -> None:
    alice = world.person("alice")
    team = world.team("lab", alice=Role.ADMIN)
    project = projects.create(world.depot, alice, "Data", team=team.n)
    teams.trash(world.depot, alice, team.n)
    with pytest.raises(Hidden):
        projects.get(world.depot, alice, project.n)
    with pytest.raises(Hidden):
        teams.get(world.depot, alice, team.n)
    assert projects.get(world.depot, world.staff, project.n).project.n == project.n
    assert members.own_roles(world.depot, alice).keys() == {_personal(world, alice)}
    (event,) = world.events("team.trashed")
    assert event.before == {"name": "lab", "members": {"alice": "admin"}}
    assert teams.trash(world.depot, world.staff, team.n).trash is not None, "a repeat is a success"
    assert len(world.events("team.trashed")) == 1


def test_a_trashed_team_takes_no_changes_and_frees_its_name(world: World) -> None:
    world.user("alice")
    team = world.team("lab")
    teams.trash(world.depot, world.staff, team.n)
    for change in (
        lambda: teams.rename(world.depot, world.staff, team.n, "other"),
        lambda: members.add(world.depot, world.staff, team.n, "alice"),
    ):
        with pytest.raises(Trashed, match="reinstate it first"):
            change()
    again = world.team("lab")
    assert teams.get(world.depot, world.staff, "lab").team.n == again.n, "the active one of that name"
    with pytest.raises(NameTaken):
        teams.reinstate(world.depot, world.staff, team.n)
    teams.rename(world.depot, world.staff, again.n, "new lab")
    back = teams.reinstate(world.depot, world.staff, team.n)
    assert (back.trash, roles_in(world, team.n)) == (None, {})
    assert teams.reinstate(world.depot, world.staff, team.n) == back, "a repeat is a success"
    assert len(world.events("team.reinstated")) == 1


def test_trashed_teams_are_listed_apart_and_for_staff(world: World) -> None:
    alice = world.person("alice")
    team = world.team("lab", alice=Role.ADMIN)
    teams.trash(world.depot, world.staff, team.n)
    names = [found.team.name for found in teams.list_teams(world.depot, world.staff).rows]
    assert "lab" not in names
    assert [f.team.name for f in teams.list_teams(world.depot, world.staff, trashed=True).rows] == ["lab"]
    assert teams.list_teams(world.depot, alice, trashed=True).rows == ()


def test_only_a_team_without_projects_is_purged(world: World) -> None:
    alice = world.person("alice")
    team = world.team("lab", alice=Role.WRITE)
    project = projects.create(world.depot, alice, "Data", team=team.n)
    for _ in ("active", "trashed"):
        with pytest.raises(Conflict, match="still owns projects"):
            teams.purge(world.depot, world.staff, team.n)
        projects.trash(world.depot, world.staff, project.n)
    projects.purge(world.depot, world.staff, project.n)
    assert teams.purge(world.depot, world.staff, team.n).name == "lab"
    with pytest.raises(NotFound):
        teams.get(world.depot, world.staff, team.n)
    assert world.team("lab").n > team.n, "a number is never given out twice"
    assert world.events("team.purged")[0].before == {"name": "lab"}


# Personal teams


def test_a_personal_team_stays_as_it_is(world: World) -> None:
    alice = world.person("alice")
    world.user("bob")
    personal = _personal(world, alice)
    for actor in (alice, world.staff):
        for change in (
            lambda actor=actor: members.add(world.depot, actor, personal, "bob"),
            lambda actor=actor: members.remove(world.depot, actor, personal, "alice"),
            lambda actor=actor: members.update(world.depot, actor, personal, "alice", Role.READ),
            lambda actor=actor: teams.rename(world.depot, actor, personal, "mine"),
            lambda actor=actor: teams.trash(world.depot, actor, personal),
        ):
            with pytest.raises(Conflict, match="have a team made"):
                change()
    with pytest.raises(Conflict):
        teams.purge(world.depot, world.staff, personal)


def test_a_personal_team_is_hidden_from_everybody_else(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    personal = _personal(world, alice)
    assert teams.get(world.depot, alice, personal).role is Role.ADMIN
    with pytest.raises(Hidden):
        teams.get(world.depot, bob, personal)
    with pytest.raises(Hidden):
        teams.get(world.depot, bob, "~alice")


# Members


def test_a_membership_acts_at_once_whatever_the_credential(world: World) -> None:
    """The actor was made before the change, as by a request that is already running elsewhere."""
    alice = world.person("alice")
    team = world.team("lab")
    project = projects.create(world.depot, world.staff, "Data", team=team.n)

    def role() -> Role:
        return projects.get(world.depot, alice, project.n).role

    with pytest.raises(Hidden):
        role()
    members.add(world.depot, world.staff, team.n, "alice", Role.READ)
    assert role() is Role.READ
    members.update(world.depot, world.staff, team.n, "alice", Role.WRITE)
    assert role() is Role.WRITE
    members.remove(world.depot, world.staff, team.n, "alice")
    with pytest.raises(Hidden):
        role()
    told = [(e.verb, e.before, e.after) for e in world.events("member.added", "member.updated", "member.removed")]
    assert told == [
        ("member.removed", {"user": "alice", "role": "write"}, None),
        ("member.updated", {"user": "alice", "role": "read"}, {"user": "alice", "role": "write"}),
        ("member.added", None, {"user": "alice", "role": "read"}),
    ]


def test_a_member_is_added_once_and_the_same_role_twice_is_no_change(world: World) -> None:
    world.user("alice")
    team = world.team("lab", alice=Role.EXECUTE)
    with pytest.raises(Conflict, match="already a member"):
        members.add(world.depot, world.staff, team.n, "alice", Role.READ)
    assert members.update(world.depot, world.staff, team.n, "alice", Role.EXECUTE).role is Role.EXECUTE
    assert world.events("member.updated") == []


def test_of_many_who_add_one_member_at_once_one_wins(world: World) -> None:
    world.user("alice")
    team = world.team("lab")

    def attempt(_: int) -> bool:
        try:
            members.add(world.depot, world.staff, team.n, "alice", Role.WRITE)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(attempt, range(5))) == [False] * 4 + [True]
    assert roles_in(world, team.n) == {"alice": Role.WRITE}


def test_who_cannot_be_a_member(world: World) -> None:
    world.user("alice")
    world.user("gone")
    users.deactivate(world.depot, world.staff, "gone")
    team = world.team("lab", alice=Role.READ)
    for who in ("gone", "nobody", 999_999, "a\x00"):
        with pytest.raises(Invalid):
            members.add(world.depot, world.staff, team.n, who)
    with pytest.raises(Invalid, match="remove it"):
        members.update(world.depot, world.staff, team.n, "alice", Role.NONE)
    for change in (
        lambda: members.update(world.depot, world.staff, team.n, "gone", Role.READ),
        lambda: members.remove(world.depot, world.staff, team.n, "gone"),
        lambda: members.role_of(world.depot, world.staff, team.n, "gone"),
    ):
        with pytest.raises(Invalid, match="not a member"):
            change()


def test_the_admin_of_a_team_keeps_it_without_being_staff(world: World) -> None:
    keeper, reader = world.person("keeper"), world.person("reader")
    world.user("new")
    team = world.team("lab", keeper=Role.ADMIN, reader=Role.READ)
    members.add(world.depot, keeper, team.n, "new", Role.ADMIN)
    assert members.role_of(world.depot, keeper, team.n, "new") is Role.ADMIN
    with pytest.raises(Forbidden, match="It needs admin permission in the owning team"):
        members.remove(world.depot, reader, team.n, "new")
    members.remove(world.depot, keeper, team.n, "keeper")
    with pytest.raises(Hidden):
        teams.get(world.depot, keeper, team.n)


def test_lists_of_members_go_on_where_the_last_page_ended(world: World) -> None:
    for name in ("a", "b", "c"):
        world.user(name, password=None)
    team = world.team("lab", a=Role.READ, b=Role.WRITE, c=Role.ADMIN)
    first = members.list_members(world.depot, world.staff, team.n, limit=2)
    second = members.list_members(world.depot, world.staff, team.n, limit=2, cursor=first.cursor)
    assert [m.user_name for m in (*first.rows, *second.rows)] == ["a", "b", "c"]
    assert second.cursor is None


def _personal(world: World, actor: Actor) -> int:
    (found,) = [
        found.team.n
        for found in teams.list_teams(world.depot, actor).rows
        if found.team.personal_of is not None and found.team.personal_of == actor.user
    ]
    return found
