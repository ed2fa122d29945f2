"""Accounts: who there is, what they may change about themselves, and what only staff may.

A user is never removed, since events and data go on naming who made them; deactivated, they can do nothing more.
Behind each user stand a hidden team (`~name`) and a personal project, made in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from entrepot.catalog import licences as licence_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import sessions as session_rows
from entrepot.catalog import standing
from entrepot.catalog import teams as team_rows
from entrepot.catalog import users as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import paging, passwords
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.people import UserKey, id_of, locate, logged_in, managed, shown
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import (
    Conflict,
    Invalid,
    NameTaken,
    NotFound,
    Trashed,
    Unavailable,
)
from entrepot.model.ids import Noun
from entrepot.model.values import Page, Person, Role, Scope, User

MAX_PERSON_NAME = 150
MAX_EMAIL = 254

#: Two names that make one slug may be created at the same moment; the second then takes the next slug.
_SLUG_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What is None stays as it is. `name`, `is_staff` and `is_active` are for staff to change."""

    name: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    is_staff: bool | None = None
    is_active: bool | None = None
    default_project: int | UUID | str | None = None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A checked wish for an account. `password` is a hash, or None for an account that no password opens."""

    name: str
    email: str
    first_name: str
    last_name: str
    password: str | None
    is_staff: bool
    is_active: bool = True


def new_user(
    depot: Depot,
    name: str,
    *,
    password: str | None,
    email: str | None = None,
    first_name: str = "",
    last_name: str = "",
    is_staff: bool = False,
    is_active: bool = True,
) -> NewUser:
    """Check what an account is to be made of and hash its password; slow, and outside of any transaction.

    Raises:
        Invalid, InvalidName: Which field, and why.
    """
    wanted = names.user_name(name)
    return NewUser(
        name=wanted,
        email=_email(email) if email else f"{wanted}@localhost",
        first_name=_person_name(first_name, "First name"),
        last_name=_person_name(last_name, "Last name"),
        password=None if password is None else passwords.hashed(depot, passwords.checked(password)),
        is_staff=is_staff,
        is_active=is_active,
    )


def create(
    depot: Depot,
    actor: Actor,
    name: str,
    *,
    password: str | None = None,
    email: str | None = None,
    first_name: str = "",
    last_name: str = "",
    is_staff: bool = False,
    is_active: bool = True,
) -> User:
    """Make an account with its personal team and project. Staff only.

    Args:
        password: At least 8 characters; None makes an account that cannot log in until it has one.
        email: `NAME@localhost` when not given.
        is_active: False makes one that nobody can use until it is reactivated.

    Raises:
        NameTaken: Somebody has, or had, that user name.
    """
    require(actor, Action.MANAGE_USERS, Standing(), "users", visible=True)
    wish = new_user(
        depot,
        name,
        password=password,
        email=email,
        first_name=first_name,
        last_name=last_name,
        is_staff=is_staff,
        is_active=is_active,
    )
    return retrying_slugs(depot, lambda conn: insert(depot, conn, actor, wish))


class SlugRace(Exception):
    """Somebody took the slug between the look and the insert."""


def retrying_slugs(depot: Depot, work: Callable[[Connection], User]) -> User:
    """Run a write that inserts a user, again when another one was given the same slug meanwhile."""
    for _ in range(_SLUG_ATTEMPTS):
        try:
            return depot.catalog.write(work)
        except SlugRace:
            continue
    raise Unavailable("Many accounts of similar names are being made at once. Try again.")


def insert(depot: Depot, conn: Connection, actor: Actor, wish: NewUser) -> User:
    """Account, personal team, membership, personal project and its root collection, in the caller's transaction.

    Raises:
        NameTaken
        SlugRace: For `retrying_slugs`.
    """
    now = depot.now()
    taken = NameTaken(f"There is already a user named {wish.name}. Choose another name.", details={"field": "name"})
    if rows.find(conn, name=wish.name) is not None:
        raise taken
    licence = licence_rows.find(conn, name=depot.policy.default_licence)
    if licence is None:
        raise NotFound(
            f"The default licence {depot.policy.default_licence!r} does not exist. "
            "Create it, or name another in the settings."
        )
    try:
        n = rows.insert_user(
            conn,
            uid=depot.new_uid(),
            name=wish.name,
            email=wish.email,
            first_name=wish.first_name,
            last_name=wish.last_name,
            password=wish.password,
            is_staff=wish.is_staff,
            at=now,
        )
    except ConstraintViolated as clash:
        raise taken from clash
    team = team_rows.insert_team(
        conn, uid=depot.new_uid(), name=personal_team_name(wish.name), creator=n, at=now, personal_of=n
    )
    team_rows.insert_member(conn, team_n=team, user_n=n, role=Role.ADMIN, creator=n, at=now)
    slug = names.next_slug(names.derive_slug(wish.name, fallback="user"), lambda s: project_rows.slug_taken(conn, s))
    try:
        project = project_rows.insert_project(
            conn,
            uid=depot.new_uid(),
            name=wish.name,
            slug=slug,
            team_n=team,
            licence=licence.n,
            creator=n,
            at=now,
            personal=True,
            allocation=depot.policy.project_allocation,
        )
    except ConstraintViolated as clash:
        raise SlugRace from clash
    project_rows.take_slug(conn, slug)
    rows.change(conn, n, {"default_project": project, "is_active": wish.is_active})
    made = rows.find(conn, n=n)
    assert made is not None
    record(conn, actor, "user.created", at=now, subject=id_of(made), after=_told(made))
    record(conn, actor, "project.created", at=now, project=project, after={"name": wish.name, "slug": slug})
    return made


def personal_team_name(user_name: str) -> str:
    """`~alice`: no other team may begin like that."""
    return f"~{user_name}"


def get(depot: Depot, actor: Actor, key: UserKey) -> User | Person:
    """Somebody: whole for oneself and for staff, name and user name for others who are logged in.

    Raises:
        NotFound: There is nobody of that number, id, name or address.
        Hidden: The caller may not know.
    """
    with depot.catalog.read() as conn:
        found = locate(conn, actor, key)
        return shown(actor, found, key)


def self_of(depot: Depot, actor: Actor) -> User:
    """Who the caller is.

    Raises:
        Unauthenticated: Nobody.
    """
    with depot.catalog.read() as conn:
        found = rows.find(conn, n=logged_in(actor))
        assert found is not None
        return found


def list_users(
    depot: Depot,
    actor: Actor,
    *,
    text: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[User | Person]:
    """People in order of creation, each as `get` shows them; those with a deactivated account for staff only.

    Args:
        text: Part of a user name or of a person's name; for staff also of the address.
    """
    require(actor, Action.VIEW_PEOPLE, Standing(), "people", visible=True)
    whole = may(actor, Action.MANAGE_USERS, Standing())

    def fetch(after: int | None, size: int) -> list[User | Person]:
        if text is not None and not names.storable(text):
            return []
        with depot.catalog.read() as conn:
            found = rows.page(conn, text=text, emails=whole, active_only=not whole, after=after, limit=size)
        return [shown(actor, user, user.n) for user in found]

    return paging.numbered(depot, f"users:{whole}:{text or ''}", cursor, limit, fetch, lambda user: user.n)


def update(depot: Depot, actor: Actor, key: UserKey, changes: UserChanges) -> User:
    """Change what is given. Oneself or staff; the user name, the staff flag and activity are staff's to change.

    Raises:
        NameTaken: The new user name is, or was, somebody's.
        Conflict: It would leave the server without active staff.
        Invalid: The default project is one where the user may not write.
    """
    now = depot.now()

    def work(conn: Connection) -> User:
        user = managed(conn, actor, key)
        if (changes.name, changes.is_staff, changes.is_active) != (None, None, None):
            require(actor, Action.MANAGE_USERS, Standing(), "users", visible=True)
        values: dict[str, Any] = {}
        if changes.name is not None:
            values["name"] = names.user_name(changes.name)
        if changes.email is not None:
            values["email"] = _email(changes.email)
        if changes.first_name is not None:
            values["first_name"] = _person_name(changes.first_name, "First name")
        if changes.last_name is not None:
            values["last_name"] = _person_name(changes.last_name, "Last name")
        if changes.is_staff is not None:
            values["is_staff"] = changes.is_staff
        if changes.default_project is not None:
            values["default_project"] = _writable_project(conn, user, changes.default_project)
        values = {field: value for field, value in values.items() if value != getattr(user, field)}
        if values.get("is_staff") is False:
            _require_other_staff(conn, user)
        if values:
            before = {field: getattr(user, field) for field in values}
            _change(conn, user, values)
            record(conn, actor, "user.updated", at=now, subject=id_of(user), before=before, after=values)
        if changes.is_active is not None:
            _set_active(depot, conn, actor, user, changes.is_active)
        after = rows.find(conn, n=user.n)
        assert after is not None
        return after

    return depot.catalog.write(work)


def deactivate(depot: Depot, actor: Actor, key: UserKey) -> User:
    """End everything the user can do: tokens, signed tokens, sessions and signed URLs fail at once. Staff only.

    Nothing is removed. Repeating it is a success.

    Raises:
        Conflict: It would leave the server without active staff.
    """
    return _switch(depot, actor, key, active=False)


def reactivate(depot: Depot, actor: Actor, key: UserKey) -> User:
    """Let the user in again. API tokens that were not revoked work again; sessions and signed tokens stay dead."""
    return _switch(depot, actor, key, active=True)


# How it is done


def _change(conn: Connection, user: User, values: dict[str, Any]) -> None:
    wanted = values.get("name")
    taken = NameTaken(f"There is already a user named {wanted}. Choose another name.", details={"field": "name"})
    if wanted is not None and rows.find(conn, name=wanted) is not None:
        raise taken
    try:
        rows.change(conn, user.n, values)
        if wanted is not None:
            # The hidden team carries its person's name. The project keeps its name and slug: people link to it.
            team_rows.change(conn, standing.personal_team(conn, user.n), {"name": personal_team_name(wanted)})
    except ConstraintViolated as clash:
        raise taken from clash


def _switch(depot: Depot, actor: Actor, key: UserKey, *, active: bool) -> User:
    def work(conn: Connection) -> User:
        require(actor, Action.MANAGE_USERS, Standing(), "users", visible=True)
        user = locate(conn, actor, key, lock=True)
        _set_active(depot, conn, actor, user, active)
        after = rows.find(conn, n=user.n)
        assert after is not None
        return after

    return depot.catalog.write(work)


def _set_active(depot: Depot, conn: Connection, actor: Actor, user: User, active: bool) -> None:
    if user.is_active == active:
        return
    if not active:
        _require_other_staff(conn, user)
    rows.change(conn, user.n, {"is_active": active})
    rows.end_credentials(conn, user.n)
    session_rows.end_all(conn, user.n)
    verb = "user.reactivated" if active else "user.deactivated"
    record(conn, actor, verb, at=depot.now(), subject=id_of(user), detail={"name": user.name})


def _require_other_staff(conn: Connection, user: User) -> None:
    if user.is_staff and user.is_active and not rows.other_active_staff(conn, user.n):
        raise Conflict(f"{user.name} is the only active staff of this server. Make somebody else staff first.")


def _writable_project(conn: Connection, user: User, key: int | UUID | str) -> int:
    """The number of a project, if the user (not whoever asks for them) may create in it."""
    found = project_rows.find_by(conn, key, user=user.n)
    owner = Actor(user=user.n, staff=user.is_staff, scope=Scope.ADMIN)
    if found is None or not may(owner, Action.VIEW_PROJECT, Standing(found[1], found[0].n)):
        shown = ids.encode(Noun.PROJECT, key) if isinstance(key, UUID) else key
        raise NotFound(f"There is no project {shown}, or {user.name} may not see it.")
    if found[0].trash is not None:
        raise Trashed(f"Project {found[0].name} is deleted; reinstate it first.")
    if not may(owner, Action.CREATE, Standing(found[1], found[0].n)):
        raise Invalid(
            f"{user.name} may not write to project {found[0].name}, so it cannot be where their data goes by default.",
            details={"field": "default_project"},
        )
    return found[0].n


def _email(value: str) -> str:
    text = names.label(value, MAX_EMAIL, "E-mail address")
    local, at, domain = text.rpartition("@")
    if not (at and local and domain) or any(c.isspace() for c in text):
        raise Invalid(f"{text!r} is not an e-mail address. Write it as name@host.", details={"field": "email"})
    return text


def _person_name(value: str, field: str) -> str:
    return names.label(value, MAX_PERSON_NAME, field, may_be_empty=True)


def _told(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_staff": user.is_staff,
    }
