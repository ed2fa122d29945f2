"""Passwords: the one rule for them, and the only place where one is hashed or compared.

argon2id, with the cost that the policy names: a guess must be dear for whoever stole the table. Parameters are part of
each hash, so a changed policy reaches an account at its next login.
"""

from __future__ import annotations

import threading
import unicodedata
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from entrepot.catalog import sessions as session_rows
from entrepot.catalog import users as rows
from entrepot.catalog.connection import Connection
from entrepot.depot import attempts, people
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.people import UserKey
from entrepot.model import names
from entrepot.model.access import Actor
from entrepot.model.errors import BadCredentials, Conflict, Invalid, NotFound
from entrepot.model.values import User

MIN_LENGTH = 8

# Each computation takes the memory that the policy says (64 MiB). Without this bound, forty logins at once take 2.5 GB.
_AT_ONCE = threading.BoundedSemaphore(2)


def checked(password: str) -> str:
    """The password, if it may be one: at least 8 characters, and nothing else is asked.

    Raises:
        Invalid: It is shorter, or not text that UTF-8 can hold. The message does not repeat it.
    """
    if not isinstance(password, str) or len(_form(password)) < MIN_LENGTH:
        raise Invalid(
            f"A password has at least {MIN_LENGTH} characters; this one is shorter. Choose a longer one.",
            details={"field": "password"},
        )
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Invalid(
            "The password has half a character in it, which UTF-8 cannot hold. Send valid Unicode text.",
            details={"field": "password"},
        ) from None
    return password


def set_password(depot: Depot, actor: Actor, key: UserKey, new: str, *, old: str | None = None) -> None:
    """Give an account another password, which ends its sessions and signed tokens; API tokens stay.

    For oneself with the old password; staff sets that of others without it.

    Raises:
        Invalid: The new one is too short, or one's own old one is not given.
        BadCredentials: The old password is not right.
        RateLimited: Too many wrong ones; they count as failed logins do.
        Conflict: Somebody else changed it at the same moment.
    """
    with depot.catalog.read() as conn:
        user = people.managed(conn, actor, key, lock=False)
        stored = rows.password_of(conn, user.n)
        account = attempts.account_key(depot, user.name)
        mine = actor.user == user.n
        if mine and stored is not None:
            attempts.require_room(depot, conn, account, actor.address)
    wanted = checked(new)
    if mine and stored is not None and old is None:
        raise Invalid("Give the old password too, to change your own.", details={"field": "old"})
    proven = not mine or stored is None or (old is not None and matches(depot, stored, old))
    replacement = hashed(depot, wanted) if proven else ""

    def work(conn: Connection) -> bool:
        current = people.managed(conn, actor, user.n)
        if mine and stored is not None:
            attempts.require_room(depot, conn, account, actor.address)
            if not proven:
                attempts.failed(conn, account, actor.address, depot.now())
                return False
            attempts.succeeded(conn, account, actor.address)
        if not rows.replace_password(conn, current.n, seen=stored, password=replacement):
            raise Conflict("The password was changed by somebody else just now. Log in again and try once more.")
        _end_all(conn, depot, actor, current)
        return True

    # A wrong guess is noted in a transaction that commits; the refusal comes after it.
    if not depot.catalog.write(work):
        raise BadCredentials("The old password is not right.", details={"reason": "password", "field": "old"})


def reset(depot: Depot, name: str, new: str) -> None:
    """Give an account another password without asking anybody, for commands that run on the data folder itself.

    Not for any door: whoever can read the folder can do everything anyway. It ends what `set_password` ends.

    Raises:
        NotFound: There is no such user.
        Invalid: The password is too short.
    """
    replacement = hashed(depot, checked(new))
    actor = Actor(door="operator")

    def work(conn: Connection) -> None:
        user = rows.find(conn, name=name, lock=True) if names.storable(name) else None
        if user is None:
            raise NotFound(f"There is no user {name}.")
        rows.replace_password(conn, user.n, seen=rows.password_of(conn, user.n), password=replacement)
        _end_all(conn, depot, actor, user)

    depot.catalog.write(work)


def _end_all(conn: Connection, depot: Depot, actor: Actor, user: User) -> None:
    """What rested on the password before."""
    rows.end_credentials(conn, user.n)
    session_rows.end_all(conn, user.n)
    record(conn, actor, "user.updated", at=depot.now(), subject=people.id_of(user), detail={"changed": "password"})


def hashed(depot: Depot, password: str) -> str:
    """What is stored of a password. Takes a fifth of a second of a core on purpose: never call it in a transaction."""
    with _AT_ONCE:
        return _hasher(depot).hash(_bytes(password))


def matches(depot: Depot, stored: str | None, password: str) -> bool:
    """Whether it is the password of that hash. Without a hash the answer is no, after the same work.

    Never call it in a transaction.
    """
    if stored is None:
        hashed(depot, password)
        return False
    with _AT_ONCE:
        try:
            return _hasher(depot).verify(stored, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def is_dated(depot: Depot, stored: str) -> bool:
    """Whether the hash was made with other parameters than the policy now names."""
    return _hasher(depot).check_needs_rehash(stored)


def _hasher(depot: Depot) -> PasswordHasher:
    policy = depot.policy
    return _hasher_of(policy.password_time_cost, policy.password_memory_kib, policy.password_lanes)


@lru_cache(maxsize=8)
def _hasher_of(time_cost: int, memory_kib: int, lanes: int) -> PasswordHasher:
    return PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes)


def _form(password: str) -> str:
    # One keyboard sends é as one code point, another as two: it is the same password.
    return unicodedata.normalize("NFC", password)


def _bytes(password: str) -> bytes:
    # A login with something that is no valid text is a wrong password, not an error.
    return _form(password).encode("utf-8", "surrogatepass")
