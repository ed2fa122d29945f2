"""Users, teams and who belongs to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from entrepot.depot import judging, members, passwords, selecting, teams, users
from entrepot.depot.context import Depot
from entrepot.depot.users import UserChanges
from entrepot.dialects.ufdl import encode, filters
from entrepot.dialects.ufdl.bodies import Body, Fields, invalid
from entrepot.dialects.ufdl.context import Asked, dumped
from entrepot.dialects.ufdl.routes.lists import listed
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Conflict, Invalid, NameTaken, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Membership, Role, Team, User

#: Teams whose members are read at once.
_AT_ONCE = 200

_TAKEN = "A user with that username already exists."


# Users


def _user_key(found: Mapping[str, str]) -> int:
    return ids.parse_ufdl_pk(found["pk"], Noun.USER)


async def list_users(asked: Asked, _found: Mapping[str, str]) -> None:
    """All accounts that the filter leaves. Staff."""
    await listed(asked, filters.USERS, selecting.users, encode.user)


async def create_user(asked: Asked, _found: Mapping[str, str]) -> None:
    """An account with a password, which is never told. Staff; who may is judged before the body."""
    body = await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        judging.may_at_all(actor, Action.MANAGE_USERS, "users")
        fields = Fields(body)
        name, password, email, first, last, staff, active = _user_fields(fields, whole=True)
        fields.check()
        assert name is not None
        try:
            made = users.create(
                depot,
                actor,
                name,
                password=password,
                email=email or None,
                first_name=first or "",
                last_name=last or "",
                is_staff=bool(staff),
                is_active=active is not False,
            )
        except NameTaken as taken:
            raise invalid({"username": [_TAKEN]}) from taken
        return encode.user(made)

    await asked.answer(work, status=201)


def _user_fields(
    fields: Fields, *, whole: bool
) -> tuple[str | None, str | None, str | None, str | None, str | None, bool | None, bool | None]:
    """A whole account has defaults for what may be left out; of a part, what is left out stays."""
    text, flag = ("", True) if whole else (None, None)
    return (
        fields.text("username", most=150),
        fields.text("password", trim=False),
        fields.text("email", blank=True, default=text),
        fields.text("first_name", blank=True, default=text),
        fields.text("last_name", blank=True, default=text),
        fields.flag("is_staff", default=False if whole else None),
        fields.flag("is_active", default=flag),
    )


async def get_user(asked: Asked, found: Mapping[str, str]) -> None:
    """By number one account, for staff; by name a list of one or none, for staff and for oneself."""
    name = found["pk"]
    if name.isascii() and name.isdigit():
        n = _user_key(found)

        def by_number(depot: Depot, actor: Actor) -> Any:
            judging.may_at_all(actor, Action.MANAGE_USERS, "users")
            return encode.user(_whole(users.get(depot, actor, n)))

        await asked.answer(by_number)
        return

    def by_name(depot: Depot, actor: Actor) -> Any:
        try:
            return [encode.user(_whole(users.get(depot, actor, name)))]
        except NotFound:
            # Whoever may not see others must not learn either who is not there.
            judging.may_at_all(actor, Action.MANAGE_USERS, "users")
            return []

    await asked.answer(by_name)


def _whole(found: Any) -> User:
    assert isinstance(found, User), "this door shows people whole or not at all"
    return found


async def update_user(asked: Asked, found: Mapping[str, str]) -> None:
    """The whole account anew. Staff."""
    await _change_user(asked, found, partial=False)


async def partial_update_user(asked: Asked, found: Mapping[str, str]) -> None:
    """The fields that are given. Staff."""
    await _change_user(asked, found, partial=True)


async def _change_user(asked: Asked, found: Mapping[str, str], *, partial: bool) -> None:
    n, body = _user_key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        judging.may_at_all(actor, Action.MANAGE_USERS, "users")
        users.get(depot, actor, n)
        fields = Fields(body, partial=partial)
        name, password, email, first, last, staff, active = _user_fields(fields, whole=not partial)
        fields.check()
        if password is not None:
            passwords.set_password(depot, actor, n, password)
        try:
            changed = users.update(
                depot,
                actor,
                n,
                UserChanges(
                    name=name, email=email or None, first_name=first, last_name=last, is_staff=staff, is_active=active
                ),
            )
        except NameTaken as taken:
            raise invalid({"username": [_TAKEN]}) from taken
        return encode.user(changed)

    await asked.answer(work)


async def destroy_user(asked: Asked, found: Mapping[str, str]) -> None:
    """Deactivate: logins and tokens fail from now on. Staff."""
    n = _user_key(found)
    await asked.nothing(lambda depot, actor: users.deactivate(depot, actor, n))


# Teams


def _team_key(found: Mapping[str, str]) -> int:
    return ids.parse_ufdl_pk(found["pk"], Noun.TEAM)


def _team(depot: Depot, actor: Actor, team: Team) -> dict[str, Any]:
    return encode.team(team, members.of_teams(depot, actor, [team.n]).get(team.n, ()))


async def list_teams(asked: Asked, _found: Mapping[str, str]) -> None:
    """The caller's teams that the filter leaves."""
    query = filters.parse(await asked.json(), filters.TEAMS)

    def records(depot: Depot, actor: Actor, found: Iterator[Team]) -> Iterator[list[bytes]]:
        while some := list(islice(found, _AT_ONCE)):
            known = members.of_teams(depot, actor, [team.n for team in some])
            yield from ([dumped(encode.team(team, known.get(team.n, ())))] for team in some)

    def work(depot: Depot, actor: Actor) -> Iterator[bytes]:
        found = selecting.teams(depot, actor, query)
        return encode.joined(records(depot, actor, (one.team for one in found)))

    await asked.stream(work)


async def create_team(asked: Asked, _found: Mapping[str, str]) -> None:
    """A team without members. Staff."""
    body = await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        judging.may_at_all(actor, Action.CREATE_TEAM, "teams")
        return _team(depot, actor, _uniquely(lambda: teams.create(depot, actor, _name(body))))

    await asked.answer(work, status=201)


def _name(body: Body) -> str:
    fields = Fields(body)
    name = fields.text("name", most=200)
    fields.check()
    assert name is not None
    return name


def _uniquely(work: Any) -> Team:
    try:
        made: Team = work()
    except NameTaken as taken:
        raise invalid({"name": ["team with this name already exists."]}) from taken
    return made


async def retrieve_team(asked: Asked, found: Mapping[str, str]) -> None:
    """One team, for its members."""
    n = _team_key(found)
    await asked.answer(lambda depot, actor: _team(depot, actor, teams.get(depot, actor, n).team))


async def update_team(asked: Asked, found: Mapping[str, str]) -> None:
    """Another name. Its admins."""
    await _rename_team(asked, found, partial=False)


async def partial_update_team(asked: Asked, found: Mapping[str, str]) -> None:
    """Another name, if one is given. Its admins."""
    await _rename_team(asked, found, partial=True)


async def _rename_team(asked: Asked, found: Mapping[str, str], *, partial: bool) -> None:
    n, body = _team_key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        team = teams.get(depot, actor, n, action=Action.ADMINISTER_TEAM).team
        if not partial or "name" in body:
            name = _name(body)
            team = _uniquely(lambda: teams.rename(depot, actor, n, name))
        return _team(depot, actor, team)

    await asked.answer(work)


async def destroy_team(asked: Asked, found: Mapping[str, str]) -> None:
    """Into the trash, with which all memberships end. Its admins; a second time staff."""
    n = _team_key(found)
    await asked.nothing(lambda depot, actor: teams.trash(depot, actor, n))


async def hard_delete_team(asked: Asked, found: Mapping[str, str]) -> None:
    """Gone for good, unless it owns projects. Staff."""
    n = _team_key(found)

    def work(depot: Depot, actor: Actor) -> Any:
        team = teams.get(depot, actor, n, action=Action.PURGE_TEAM).team
        shown = _team(depot, actor, team)
        teams.purge(depot, actor, n)
        return shown

    await asked.answer(work)


async def reinstate_team(asked: Asked, found: Mapping[str, str]) -> None:
    """Back from the trash, without members. Staff."""
    n = _team_key(found)
    await asked.answer(lambda depot, actor: _team(depot, actor, _uniquely(lambda: teams.reinstate(depot, actor, n))))


# Members


async def memberships(asked: Asked, found: Mapping[str, str]) -> None:
    """Add, update or remove a member. The team's admins."""
    n, body = _team_key(found), await asked.body()

    def work(depot: Depot, actor: Actor) -> Any:
        teams.get(depot, actor, n, action=Action.ADMINISTER_TEAM)
        method, name, role = _wish(body)
        try:
            return _changed(depot, actor, n, method, name, role)
        except Invalid as error:
            raise Invalid(f"Bad name {name!r}: {error.message}") from error
        except Conflict as error:
            if error.details.get("reason") != "member":
                raise
            raise Invalid(f"Bad name {name!r}: {error.message}") from error

    await asked.answer(work)


def _changed(depot: Depot, actor: Actor, team: int, method: str, name: str, role: Role) -> dict[str, Any]:
    if method == "remove":
        ended: Membership = members.remove(depot, actor, team, name)
        return encode.membership(ended, ended=depot.now())
    change = members.add if method == "add" else members.update
    return encode.membership(change(depot, actor, team, name, role))


def _wish(body: Body) -> tuple[str, str, Role]:
    fields = Fields(body)
    method, name = fields.text("method"), fields.text("username")
    letter = fields.text("permissions", default="R")
    if method is not None and method not in ("add", "remove", "update"):
        fields.wrong("method", f'"{method[:40]}" is not a valid choice.')
    if letter is not None and letter not in encode.ROLES:
        fields.wrong("permissions", f'"{letter[:40]}" is not a valid choice.')
    fields.check()
    assert method is not None
    assert name is not None
    assert letter is not None
    return method, name, encode.ROLES[letter]


async def permissions(asked: Asked, found: Mapping[str, str]) -> None:
    """A member's role, as a letter. The team's admins."""
    n, name = _team_key(found), found["username"]

    def work(depot: Depot, actor: Actor) -> str:
        teams.get(depot, actor, n, action=Action.ADMINISTER_TEAM)
        try:
            return encode.letter(members.role_of(depot, actor, n, name))
        except Invalid as error:
            raise Invalid(f"Bad name {name[:100]!r}: {error.message}") from error

    await asked.answer(work)
