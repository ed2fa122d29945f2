"""Finding somebody for an actor: what every use case of identity begins with, inside its own transaction."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

from entrepot.catalog import users as rows
from entrepot.catalog.connection import Connection
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import Conflict, Hidden, NotFound, Unauthenticated
from entrepot.model.ids import Noun
from entrepot.model.values import Person, Role, User

#: The catalogue's number, the uid, or what people write: `user_…`, a user name, an e-mail address.
UserKey: TypeAlias = int | UUID | str


def logged_in(actor: Actor) -> int:
    """The number of the user behind the actor.

    Raises:
        Unauthenticated: Nobody is.
    """
    if actor.user is None:
        raise Unauthenticated("Log in first: this needs to know who you are.")
    return actor.user


def locate(conn: Connection, actor: Actor, key: UserKey, *, lock: bool = False) -> User:
    """Somebody by any key, whoever may see them.

    An address names somebody to staff and to themselves only: others could find out by it who has which.

    Raises:
        NotFound
        Conflict: Several accounts have that address.
    """
    if isinstance(key, int):
        found = rows.find(conn, n=key, lock=lock)
    else:
        uid = key if isinstance(key, UUID) else _uid(key)
        if uid is not None:
            found = rows.find(conn, uid=uid, lock=lock)
        elif not names.storable(str(key)):
            found = None
        else:
            found = rows.find(conn, name=str(key), lock=lock) or _by_email(conn, actor, str(key), lock)
    if found is None:
        raise NotFound(_nobody(key))
    return found


def managed(conn: Connection, actor: Actor, key: UserKey, *, lock: bool = True) -> User:
    """Somebody whose account the actor may manage: oneself, or anybody for staff. Locked until the transaction ends.

    Raises:
        NotFound, Hidden, Forbidden
    """
    user = locate(conn, actor, key, lock=lock)
    shown(actor, user, key)
    stands = Standing(Role.ADMIN if actor.user == user.n else Role.NONE)
    require(actor, Action.MANAGE_ACCOUNT, stands, f"account of {user.name}", visible=True)
    return user


def shown(actor: Actor, user: User, key: UserKey) -> User | Person:
    """As much of somebody as the actor may know; `key` is what was asked for.

    Raises:
        Hidden: That is nothing.
    """
    if actor.user == user.n or may(actor, Action.MANAGE_USERS, Standing()):
        return user
    if not may(actor, Action.VIEW_PEOPLE, Standing()):
        raise Hidden(_nobody(key))
    return Person(user.n, user.uid, user.name, user.first_name, user.last_name)


def id_of(user: User) -> str:
    return ids.encode(Noun.USER, user.uid)


def _nobody(key: UserKey) -> str:
    # The same words whether there is nobody or somebody who may not be known.
    name = ids.encode(Noun.USER, key) if isinstance(key, UUID) else key
    return f"There is no user {name}, or you may not see them."


def _uid(text: str) -> UUID | None:
    """The uid in a `user_…` id; None for a name or an address, which never look like one."""
    try:
        return ids.decode(Noun.USER, text)
    except NotFound:
        return None


def _by_email(conn: Connection, actor: Actor, text: str, lock: bool) -> User | None:
    if "@" not in text:
        return None
    found = rows.by_email(conn, text)
    if not may(actor, Action.MANAGE_USERS, Standing()):
        found = [user for user in found if user.n == actor.user]
    if len(found) > 1:
        raise Conflict(f"Several accounts have the address {text}. Use the user name.")
    return rows.find(conn, n=found[0].n, lock=lock) if found else None
