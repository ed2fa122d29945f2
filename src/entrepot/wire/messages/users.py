"""People and their accounts."""

from __future__ import annotations

from pydantic import Field

from entrepot.wire.messages.base import Answer, Changes, Instant, Request


class NewUser(Request):
    """An account. Without a password nobody can log in by one until somebody sets it."""

    name: str
    password: str | None = Field(default=None, json_schema_extra={"format": "password"})
    email: str | None = Field(default=None, description="`NAME@localhost` when left out.")
    first_name: str = ""
    last_name: str = ""
    staff: bool = False


class UserChanges(Changes):
    """What is left out stays. `staff` is for staff."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    staff: bool = False
    default_project: str = Field(default="", description="Id or slug: where things go that name no project.")


class NewPassword(Request):
    """`old` is needed unless staff sets the password of somebody else."""

    new: str = Field(json_schema_extra={"format": "password"})
    old: str | None = Field(default=None, json_schema_extra={"format": "password"})


class Person(Answer):
    """What everybody who is logged in may know of somebody."""

    id: str
    name: str
    first_name: str
    last_name: str


class User(Answer):
    """An account, as its owner and staff see it."""

    id: str
    name: str
    email: str
    first_name: str
    last_name: str
    staff: bool
    active: bool
    has_password: bool
    default_project: str | None
    created_at: Instant
    last_login_at: Instant | None


class Session(Answer):
    """A browser that somebody is logged in with."""

    id: str
    address: str = Field(description="Where it was when they logged in.")
    agent: str = Field(description="What it called itself.")
    created_at: Instant
    expires_at: Instant


class SessionList(Answer):
    """Those that are still good, newest first."""

    rows: list[Session]


class PersonPage(Answer):
    rows: list[Person]
    next: str | None = None


class UserPage(Answer):
    """The list as staff sees it."""

    rows: list[User]
    next: str | None = None
