"""API tokens, and logging in and out, which is making and revoking one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from entrepot.model.values import Scope
from entrepot.wire.messages.base import Answer, Instant, Request, Seconds
from entrepot.wire.messages.users import User

ScopeName = Annotated[Scope, Field(strict=False)]


class Login(Request):
    username: str
    password: str = Field(json_schema_extra={"format": "password"})
    scope: ScopeName = Scope.ADMIN
    token_name: str = Field(default="", description="What the list of tokens calls it.")
    expires_in_s: Seconds | None = None


class NewToken(Request):
    """A token of the caller, or of `user` when staff asks."""

    name: str = ""
    scope: ScopeName = Scope.READ
    projects: list[str] | None = Field(default=None, description="Ids or slugs it is limited to; null is no limit.")
    expires_in_s: Seconds | None = Field(default=None, description="Left out: the server's usual lifetime.")
    never: bool = Field(default=False, description="It never runs out.")
    node: str | None = Field(default=None, description="The node that whoever shows the token acts for.")
    user: str | None = Field(default=None, description="Id or name.")


class TokenChanges(Request):
    name: str


class Token(Answer):
    id: str
    user: str
    name: str
    scope: Scope
    projects: list[str] | None
    node: str | None
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None
    revoked_at: Instant | None


class TokenCreated(Token):
    """The only answer that has the text of the token."""

    token: str = Field(json_schema_extra={"format": "password"})


class TokenPage(Answer):
    rows: list[Token]
    next: str | None = None


class WhoAmI(Answer):
    """Who the caller is to the server. `staff` says whether this credential carries staff rights."""

    user: User | None
    token: Token | None
    scope: Scope
    staff: bool
    default_project: str | None
    node: str | None = None
