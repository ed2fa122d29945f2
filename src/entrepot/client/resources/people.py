"""Users, teams with their members, tokens and worker nodes."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, Unpack

from pydantic import BaseModel

from entrepot.client.resources.base import Resource, named
from entrepot.client.transport import segment
from entrepot.model.values import Scope
from entrepot.wire.messages.nodes import NewNode, Node, NodeChanges, NodePage
from entrepot.wire.messages.teams import (
    Member,
    MemberPage,
    NewTeam,
    SetMember,
    Team,
    TeamChanges,
    TeamPage,
)
from entrepot.wire.messages.tokens import NewToken, Token, TokenChanges, TokenCreated, TokenPage
from entrepot.wire.messages.users import NewPassword, NewUser, Person, Session, SessionList, User, UserChanges

__all__ = ["Nodes", "Teams", "Tokens", "UserFields", "Users"]


class UserFields(TypedDict, total=False):
    """What of an account can be changed; what is not given stays."""

    email: str
    first_name: str
    last_name: str
    staff: bool
    default_project: str


class _People(BaseModel):
    """A page of accounts as staff sees it, or of people as everybody does: what both have."""

    rows: list[User | Person]
    next: str | None = None


class Users(Resource):
    """People and their accounts."""

    def list(self, q: str | None = None) -> Iterator[User | Person]:
        """Everybody, or those whose names contain `q`. Staff sees accounts, others see names."""
        yield from self._transport.rows("/users", _People, {"q": q})

    def get(self, user: str = "me") -> User:
        """An account: one's own, or any for staff."""
        return self._transport.get(f"/users/{named('user', user)}", User)

    def person(self, user: str) -> Person:
        """What everybody may know of somebody."""
        return self._transport.get(f"/users/{named('user', user)}/person", Person)

    def create(
        self,
        name: str,
        *,
        password: str | None = None,
        email: str | None = None,
        first_name: str = "",
        last_name: str = "",
        staff: bool = False,
    ) -> User:
        """Make an account. Staff only.

        Raises:
            NameTaken: There is somebody of this name.
        """
        new = NewUser(
            name=name, password=password, email=email, first_name=first_name, last_name=last_name, staff=staff
        )
        return self._transport.post("/users", User, new)

    def update(self, user: str = "me", **changes: Unpack[UserFields]) -> User:
        return self._transport.patch(f"/users/{named('user', user)}", User, UserChanges(**changes))

    def set_password(self, new: str, *, old: str | None = None, user: str = "me") -> None:
        """One's own with the old one; anybody's for staff."""
        body = NewPassword(new=new, old=old)
        self._transport.send("POST", f"/users/{named('user', user)}/password", body=body)

    def deactivate(self, user: str) -> User:
        """End all of somebody's access at once. What they made stays."""
        return self._transport.post(f"/users/{named('user', user)}/deactivate", User)

    def reactivate(self, user: str) -> User:
        return self._transport.post(f"/users/{named('user', user)}/reactivate", User)

    def sessions(self, user: str = "me") -> builtins.list[Session]:
        """The browsers that somebody is logged in with, newest first: one's own, for staff anybody's."""
        return self._transport.get(f"/users/{named('user', user)}/sessions", SessionList).rows

    def end_session(self, session: str, *, user: str = "me") -> None:
        """Log one browser out.

        Raises:
            NotFound: It is over already.
        """
        self._transport.send("DELETE", f"/users/{named('user', user)}/sessions/{segment(session)}")

    def end_sessions(self, user: str = "me") -> None:
        """End every session and every signed token of a door. API tokens stay: revoke those by themselves."""
        self._transport.send("DELETE", f"/users/{named('user', user)}/sessions")


class Teams(Resource):
    """Groups of people that own projects."""

    def list(self, *, trashed: bool = False) -> Iterator[Team]:
        yield from self._transport.rows("/teams", TeamPage, {"trashed": True if trashed else None})

    def get(self, team: str) -> Team:
        return self._transport.get(f"/teams/{named('team', team)}", Team)

    def create(self, name: str) -> Team:
        """Make a team. Staff only; whoever makes it is not a member by that."""
        return self._transport.post("/teams", Team, NewTeam(name=name))

    def rename(self, team: str, name: str) -> Team:
        return self._transport.patch(f"/teams/{named('team', team)}", Team, TeamChanges(name=name))

    def trash(self, team: str) -> Team:
        return self._transport.delete(f"/teams/{named('team', team)}", Team)

    def reinstate(self, team: str) -> Team:
        return self._transport.post(f"/teams/{named('team', team)}/reinstate", Team)

    def purge(self, team: str) -> Team:
        return self._transport.post(f"/teams/{named('team', team)}/purge", Team)

    def members(self, team: str) -> Iterator[Member]:
        yield from self._transport.rows(f"/teams/{named('team', team)}/members", MemberPage)

    def set_member(self, team: str, user: str, role: str) -> Member:
        """Let somebody in, or change what they may do.

        Args:
            role: `read`, `execute`, `write` or `admin`; each includes those before it.
        """
        body = SetMember.model_validate({"role": role})
        return self._transport.put(f"/teams/{named('team', team)}/members/{named('user', user)}", Member, body)

    def remove_member(self, team: str, user: str) -> None:
        self._transport.send("DELETE", f"/teams/{named('team', team)}/members/{named('user', user)}")


class Tokens(Resource):
    """What programs show in place of a password."""

    def list(self, *, user: str | None = None, revoked: bool = False) -> Iterator[Token]:
        yield from self._transport.rows("/tokens", TokenPage, {"user": user, "revoked": True if revoked else None})

    def get(self, token: str) -> Token:
        return self._transport.get(f"/tokens/{named('token', token)}", Token)

    def create(
        self,
        name: str = "",
        *,
        scope: str | Scope = Scope.READ,
        projects: Sequence[str] | None = None,
        expires_in_s: int | None = None,
        never: bool = False,
        node: str | None = None,
        user: str | None = None,
    ) -> TokenCreated:
        """Make a token. Its text is in this answer and nowhere else, ever.

        Args:
            scope: `read`, `write` or `admin`.
            projects: Ids or slugs that it is limited to.
            expires_in_s: Its lifetime; the server's usual one if neither this nor `never` is given.
            user: Somebody else, for staff.
        """
        given: dict[str, Any] = {"name": name, "scope": Scope(scope)}
        given |= {} if projects is None else {"projects": [*projects]}
        given |= {} if expires_in_s is None else {"expires_in_s": expires_in_s}
        given |= {"never": True} if never else {}
        given |= {} if node is None else {"node": node}
        given |= {} if user is None else {"user": user}
        return self._transport.post("/tokens", TokenCreated, NewToken(**given))

    def rename(self, token: str, name: str) -> Token:
        """Call a token something else; what it can do stays."""
        return self._transport.patch(f"/tokens/{named('token', token)}", Token, TokenChanges(name=name))

    def revoke(self, token: str) -> None:
        """End a token at once, and every signed address that was made with it. May be repeated."""
        self._transport.send("DELETE", f"/tokens/{named('token', token)}")


class Nodes(Resource):
    """Worker machines that people act for."""

    def list(self) -> Iterator[Node]:
        yield from self._transport.rows("/nodes", NodePage)

    def get(self, node: str) -> Node:
        return self._transport.get(f"/nodes/{named('node', node)}", Node)

    def create(self, name: str) -> Node:
        return self._transport.post("/nodes", Node, NewNode(name=name))

    def activate(self, node: str) -> Node:
        return self._transport.patch(f"/nodes/{named('node', node)}", Node, NodeChanges(active=True))

    def deactivate(self, node: str) -> Node:
        return self._transport.patch(f"/nodes/{named('node', node)}", Node, NodeChanges(active=False))
