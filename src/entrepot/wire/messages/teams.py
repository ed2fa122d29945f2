"""Teams, which own projects, and who is in them."""

from __future__ import annotations

from entrepot.wire.messages.base import Answer, GivenRole, Instant, Request, RoleName, Trash


class NewTeam(Request):
    name: str


class TeamChanges(Request):
    name: str


class SetMember(Request):
    role: GivenRole


class Team(Answer):
    id: str
    name: str
    personal: bool
    role: RoleName
    created_at: Instant
    trash: Trash | None


class Member(Answer):
    user: str
    role: RoleName
    created_at: Instant


class TeamPage(Answer):
    rows: list[Team]
    next: str | None = None


class MemberPage(Answer):
    rows: list[Member]
    next: str | None = None
