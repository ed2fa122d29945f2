"""Who may do what to people, teams, tokens, nodes and licences: every use case, everybody, every credential.

Everybody is: anonymous; a stranger (a user who shares no team); members of the team in question with R, X, W and A;
staff. Credentials are: a password; tokens of scope read, write and admin; a token of scope admin limited to a project;
a token of scope admin bound to a node.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from entrepot.catalog.database import Catalog
from entrepot.depot import bootstrap, licences, members, nodes, passwords, sessions, teams, tokens, users
from entrepot.depot.context import Depot
from entrepot.depot.users import UserChanges
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.errors import EntrepotError, Forbidden, Hidden, Unauthenticated
from entrepot.model.values import Person, Role, Scope, Team, User
from tests.support.catalogs import Clock, new_catalog_url
from tests.support.identity import ADMIN_PASSWORD, PASSWORD, World, new_depot

WHO = ("anonymous", "stranger", "reader", "executor", "writer", "keeper", "staff")
HOW = ("password", "read", "write", "admin", "limited", "node")
MEMBERS = ("reader", "executor", "writer", "keeper")

Verdict: TypeAlias = type[EntrepotError] | None
Judge: TypeAlias = Callable[[str, str], Verdict]


@dataclass
class Cast:
    """Everybody, with every credential, around the team `lab`; and `victim`, to whom things are done."""

    world: World
    team: Team
    victim: User
    victims_token: int
    actors: Mapping[tuple[str, str], Actor]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def fresh(self, word: str) -> str:
        """A name that nobody has."""
        return f"{word}{next(self._numbers)}"

    @property
    def depot(self) -> Depot:
        return self.world.depot


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cast]:
    """One for all tests of this module: what they change they put back."""
    folder = tmp_path_factory.mktemp("permissions")
    with new_catalog_url(request.param, folder, lambda: request.getfixturevalue("postgres_server")) as url:
        clock = Clock()
        catalog = Catalog.open(url, clock=clock)
        depot = new_depot(catalog, clock)
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        yield assemble(World(depot, clock))
        catalog.close()


def assemble(world: World) -> Cast:
    depot = world.depot
    node = nodes.create(depot, world.staff, "worker")
    nodes.create(depot, world.staff, "spare")
    victim = world.user("victim")
    for name in ("stranger", "extra", *MEMBERS):
        world.user(name)
    world.user("boss", is_staff=True)
    roles = {"reader": Role.READ, "executor": Role.EXECUTE, "writer": Role.WRITE, "keeper": Role.ADMIN}
    team = world.team("lab", **roles, extra=Role.READ)
    world.team("doomed", **roles)
    licences.create(depot, world.staff, "Unused")
    actors: dict[tuple[str, str], Actor] = {("anonymous", "password"): ANONYMOUS}
    for who in WHO[1:]:
        name = "boss" if who == "staff" else who
        actor = world.login(name)
        project = world.personal_project(actor)
        actors[who, "password"] = actor
        for scope in Scope:
            actors[who, scope.value] = world.by_token(actor, scope)
        actors[who, "limited"] = world.by_token(actor, Scope.ADMIN, projects=[project])
        actors[who, "node"] = world.by_token(world.staff, Scope.ADMIN, user=name, node=node.n)
    token = tokens.create(depot, world.staff, scope=Scope.READ, user="victim").token
    return Cast(world, team, victim, token.n, actors)


# What does not leave things as they were, and is put back where it was allowed


def add_member(cast: Cast, actor: Actor) -> None:
    members.add(cast.depot, actor, cast.team.n, "victim")
    members.remove(cast.depot, cast.world.staff, cast.team.n, "victim")


def remove_member(cast: Cast, actor: Actor) -> None:
    members.remove(cast.depot, actor, cast.team.n, "extra")
    members.add(cast.depot, cast.world.staff, cast.team.n, "extra")


def rename_team(cast: Cast, actor: Actor) -> None:
    teams.rename(cast.depot, actor, cast.team.n, "renamed")
    teams.rename(cast.depot, cast.world.staff, cast.team.n, "lab")


def purge_team(cast: Cast, actor: Actor) -> None:
    teams.purge(cast.depot, actor, "doomed")
    roles = {"reader": Role.READ, "executor": Role.EXECUTE, "writer": Role.WRITE, "keeper": Role.ADMIN}
    cast.world.team("doomed", **roles)


def trash_team(cast: Cast, actor: Actor) -> None:
    assert teams.trash(cast.depot, actor, "doomed").trash is not None
    purge_team(cast, cast.world.staff)


def delete_licence(cast: Cast, actor: Actor) -> None:
    licences.delete(cast.depot, actor, "Unused")
    licences.create(cast.depot, cast.world.staff, "Unused")


def reset_password(cast: Cast, actor: Actor) -> None:
    passwords.set_password(cast.depot, actor, cast.victim.n, "another one")


# Judges: what should happen, by who asks and with what


def staff_only(who: str, how: str) -> Verdict:
    if who == "staff" and how in ("password", "admin", "node"):
        return None
    return Unauthenticated if who == "anonymous" else Forbidden


def anybody_known(who: str, _how: str) -> Verdict:
    return Unauthenticated if who == "anonymous" else None


def sees_team(who: str, how: str) -> Verdict:
    if how == "limited":
        return Hidden
    if who in MEMBERS:
        return None
    return staff_or_hidden(who, how)


def keeps_team(who: str, how: str) -> Verdict:
    """Admins of the team, with a credential that carries all they are; who sees the team is told no, others nothing."""
    if who == "keeper" and how in ("password", "admin", "node"):
        return None
    if who in MEMBERS and how != "limited":
        return Forbidden
    return staff_or_hidden(who, how)


def runs_teams(who: str, how: str) -> Verdict:
    """Staff; members see the team and are told no."""
    if who in MEMBERS and how != "limited":
        return Forbidden
    return staff_or_hidden(who, how)


def staff_or_hidden(who: str, how: str) -> Verdict:
    return None if staff_only(who, how) is None else Hidden


def manages_others(who: str, how: str) -> Verdict:
    """What only staff does to somebody else's account: nobody known is told that there is no such person."""
    if who == "anonymous":
        return Hidden
    return staff_only(who, how)


def manages_self(who: str, how: str) -> Verdict:
    """One's own account: by password, or by a token that carries all one is."""
    if who == "anonymous":
        return Unauthenticated
    return None if how in ("password", "admin", "node") else Forbidden


@dataclass(frozen=True)
class Case:
    act: Callable[[Cast, Actor], Any]
    judge: Judge


def own(actor: Actor) -> int:
    """One's own number; for nobody's, that of nobody."""
    return actor.user or 0


CASES: Mapping[str, Case] = {
    # users
    "users.create": Case(lambda c, a: users.create(c.depot, a, c.fresh("new"), password=PASSWORD), staff_only),
    "users.list": Case(lambda c, a: users.list_users(c.depot, a), anybody_known),
    "users.self_of": Case(lambda c, a: users.self_of(c.depot, a), anybody_known),
    "users.get somebody": Case(
        lambda c, a: users.get(c.depot, a, "reader"), lambda who, _: Hidden if who == "anonymous" else None
    ),
    "users.update somebody": Case(
        lambda c, a: users.update(c.depot, a, c.victim.n, UserChanges(first_name=c.fresh("X"))), manages_others
    ),
    "users.update somebody to staff": Case(
        lambda c, a: users.update(c.depot, a, c.victim.n, UserChanges(is_staff=False)), manages_others
    ),
    "users.deactivate": Case(lambda c, a: users.deactivate(c.depot, a, c.victim.n), staff_only),
    "users.reactivate": Case(lambda c, a: users.reactivate(c.depot, a, c.victim.n), staff_only),
    "passwords.set_password of somebody": Case(reset_password, manages_others),
    # teams
    "teams.create": Case(lambda c, a: teams.create(c.depot, a, c.fresh("team")), staff_only),
    "teams.list": Case(lambda c, a: teams.list_teams(c.depot, a), anybody_known),
    "teams.get": Case(lambda c, a: teams.get(c.depot, a, c.team.n), sees_team),
    "teams.rename": Case(rename_team, keeps_team),
    "teams.trash": Case(trash_team, keeps_team),
    "teams.reinstate": Case(lambda c, a: teams.reinstate(c.depot, a, c.team.n), runs_teams),
    "teams.purge": Case(purge_team, runs_teams),
    # members
    "members.add": Case(add_member, keeps_team),
    "members.update": Case(lambda c, a: members.update(c.depot, a, c.team.n, "extra", Role.WRITE), keeps_team),
    "members.put": Case(lambda c, a: members.put(c.depot, a, c.team.n, "extra", Role.READ), keeps_team),
    "members.remove": Case(remove_member, keeps_team),
    "members.list": Case(lambda c, a: members.list_members(c.depot, a, c.team.n), sees_team),
    "members.role_of": Case(lambda c, a: members.role_of(c.depot, a, c.team.n, "reader"), keeps_team),
    "members.own_roles": Case(lambda c, a: members.own_roles(c.depot, a), anybody_known),
    # tokens
    "tokens.create for oneself": Case(lambda c, a: tokens.create(c.depot, a, scope=Scope.READ), manages_self),
    "tokens.create for somebody": Case(
        lambda c, a: tokens.create(c.depot, a, scope=Scope.READ, user=c.victim.n), manages_others
    ),
    "tokens.list of oneself": Case(lambda c, a: tokens.list_tokens(c.depot, a), anybody_known),
    "tokens.list of somebody": Case(lambda c, a: tokens.list_tokens(c.depot, a, user=c.victim.n), manages_others),
    "tokens.get of somebody": Case(lambda c, a: tokens.get(c.depot, a, c.victims_token), staff_or_hidden),
    "tokens.rename of somebody": Case(lambda c, a: tokens.rename(c.depot, a, c.victims_token, "x"), staff_or_hidden),
    "tokens.revoke of somebody": Case(lambda c, a: tokens.revoke(c.depot, a, c.victims_token), staff_or_hidden),
    # sessions
    "sessions.list of oneself": Case(lambda c, a: sessions.list_sessions(c.depot, a), manages_self),
    "sessions.list of somebody": Case(lambda c, a: sessions.list_sessions(c.depot, a, user=c.victim.n), manages_others),
    "sessions.end_all of somebody": Case(lambda c, a: sessions.end_all(c.depot, a, user=c.victim.n), manages_others),
    # nodes
    "nodes.create": Case(lambda c, a: nodes.create(c.depot, a, c.fresh("node")), staff_only),
    "nodes.get": Case(lambda c, a: nodes.get(c.depot, a, "worker"), staff_only),
    "nodes.list": Case(lambda c, a: nodes.list_nodes(c.depot, a), staff_only),
    "nodes.deactivate": Case(lambda c, a: nodes.deactivate(c.depot, a, "spare"), staff_only),
    "nodes.reactivate": Case(lambda c, a: nodes.reactivate(c.depot, a, "worker"), staff_only),
    # licences
    "licences.get": Case(lambda c, a: licences.get(c.depot, a, "MIT"), anybody_known),
    "licences.list": Case(lambda c, a: licences.list_licences(c.depot, a), anybody_known),
    "licences.create": Case(lambda c, a: licences.create(c.depot, a, c.fresh("licence")), staff_only),
    "licences.update": Case(
        lambda c, a: licences.update(c.depot, a, "MIT", url=f"https://example.org/{c.fresh('u')}"), staff_only
    ),
    "licences.delete": Case(delete_licence, staff_only),
    "licences.add_descriptors": Case(
        lambda c, a: licences.add_descriptors(c.depot, a, "MIT", licences.Descriptor.DOMAINS, [c.fresh("d")]),
        staff_only,
    ),
    "licences.remove_descriptors": Case(
        lambda c, a: licences.remove_descriptors(c.depot, a, "MIT", licences.Descriptor.DOMAINS, ["none"]),
        staff_only,
    ),
}


def test_every_use_case_says_yes_and_no_as_the_table_of_roles_says(cast: Cast) -> None:
    """One test for all cells: a server with everybody in it takes longer to make than the table to walk."""
    wrong = []
    for name, case in CASES.items():
        for (who, how), actor in cast.actors.items():
            expected = case.judge(who, how)
            try:
                case.act(cast, actor)
            except EntrepotError as error:
                found: Verdict = type(error)
            else:
                found = None
            if found is not expected:
                wrong.append(f"{name} by {who} with {how}: expected {expected}, found {found}")
    assert wrong == []


def test_the_table_leaves_out_no_use_case() -> None:
    named = {case.partition(" ")[0] for case in CASES}
    public = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (users, teams, members, tokens, nodes, licences)
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__module__", "") == module.__name__
        and name[0].islower() and function.__code__.co_varnames[:2] == ("depot", "actor")
    }  # fmt: skip
    listed = {name.replace(".list_users", ".list").replace(".list_teams", ".list") for name in public}
    listed = {name.replace(".list_members", ".list").replace(".list_tokens", ".list") for name in listed}
    listed = {name.replace(".list_nodes", ".list").replace(".list_licences", ".list") for name in listed}
    # Tested by themselves below: what they answer depends on who asks, not whether they answer.
    assert listed - named == {"members.of_teams", "nodes.acting_for"}


def test_everybody_sees_themselves_whole_and_staff_sees_everybody_whole(cast: Cast) -> None:
    for (who, how), actor in cast.actors.items():
        if who == "anonymous":
            continue
        mine = users.get(cast.depot, actor, own(actor))
        assert isinstance(mine, User), (who, how)
        assert mine.email == f"{mine.name}@localhost"
        other = users.get(cast.depot, actor, "admin")
        whole = who == "staff" and how in ("password", "admin", "node")
        assert isinstance(other, User if whole else Person), (who, how)
        listed = users.list_users(cast.depot, actor).rows
        assert {type(row) for row in listed} == ({User} if whole else {User, Person}), (who, how)


def test_lists_of_teams_show_ones_own_and_to_staff_all(cast: Cast) -> None:
    for (who, how), actor in cast.actors.items():
        if who == "anonymous":
            continue
        seen = {found.team.name for found in teams.list_teams(cast.depot, actor).rows}
        mine = f"~{actor.name}"
        if how == "limited":
            assert seen == set(), (who, how)
        elif staff_only(who, how) is None:
            assert {"lab", "~admin", "~boss", "~reader", "~stranger"} <= seen, (who, how)
        elif who in MEMBERS:
            assert seen == {"doomed", "lab", mine}, (who, how)
        else:
            assert seen == {mine}, (who, how)


def test_members_of_several_teams_come_only_for_teams_that_may_be_seen(cast: Cast) -> None:
    other = cast.world.team(cast.fresh("other"))
    wanted = [cast.team.n, other.n, 999_999]
    seen = members.of_teams(cast.depot, cast.actors["reader", "read"], wanted)
    assert set(seen) == {cast.team.n}
    assert [m.user_name for m in seen[cast.team.n]] == ["extra", *MEMBERS]
    assert members.of_teams(cast.depot, ANONYMOUS, wanted) == {}
    assert set(members.of_teams(cast.depot, cast.world.staff, wanted)) == set(wanted)


def test_a_refusal_says_the_same_of_what_is_hidden_and_of_what_is_not_there(cast: Cast) -> None:
    stranger = cast.actors["stranger", "password"]
    with pytest.raises(Hidden) as there:
        teams.get(cast.depot, stranger, "doomed")
    with pytest.raises(EntrepotError) as missing:
        teams.get(cast.depot, stranger, "nowhere")
    assert there.value.message.replace("doomed", "nowhere") == missing.value.message
    with pytest.raises(Hidden) as somebody:
        users.get(cast.depot, ANONYMOUS, cast.actors["reader", "password"].user or 0)
    assert "reader" not in somebody.value.message
    with pytest.raises(Hidden) as by_number:
        teams.get(cast.depot, stranger, cast.team.n)
    assert "lab" not in by_number.value.message
