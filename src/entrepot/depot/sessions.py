"""Logging in, and what it leads to: signed tokens for the doors whose clients want them, sessions for browsers.

    password ─► login                an actor with whole rights, for this request
             ─► obtain ─► refresh    signed tokens of one door
             ─► open_session         a cookie; the row behind it makes ending it real
    token    ─► exchange             a signed token that reaches as far as the API token

Nothing here turns an actor into a longer-lived credential: each starts from what was shown. Whether an account exists
cannot be told from the answer to a login, nor from the time that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from entrepot.catalog import installation
from entrepot.catalog import sessions as rows
from entrepot.catalog import users as user_rows
from entrepot.catalog.connection import Connection
from entrepot.depot import attempts, credentials, jwt, passwords, people, secrets
from entrepot.depot.context import Depot
from entrepot.depot.credentials import Pair
from entrepot.depot.events import record
from entrepot.depot.people import UserKey, logged_in
from entrepot.model import names
from entrepot.model.access import ANONYMOUS, Action, Actor, Rule
from entrepot.model.errors import BadCredentials, InvalidName, NotFound, Unavailable
from entrepot.model.values import Scope, Session, User

ACCESS_LIFETIME = timedelta(hours=1)
WEB = "web"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed token and its end."""

    text: str = field(repr=False)
    expires_at: datetime
    scope: Scope


@dataclass(frozen=True, slots=True)
class Obtained:
    """What a client keeps after a login: one to show, one to get the next with."""

    actor: Actor
    access: Signed
    refresh: Signed


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session and, this once, the text of its cookie."""

    actor: Actor
    session: Session
    cookie: str = field(repr=False)


def login(
    depot: Depot,
    name: str,
    password: str,
    *,
    door: str,
    address: str | None = None,
    narrow: Mapping[Action, Rule] | None = None,
) -> Actor:
    """Whoever has that name and password, with whole rights.

    Raises:
        BadCredentials: There is no active account with them; the same answer for any reason, after the same time.
        RateLimited: Too many failures for this account from this address; `details["retry_after_s"]` says how long.
    """
    return _login(depot, name, password, door=door, address=address, narrow=narrow, then=lambda _conn, _user: None)[0]


def obtain(
    depot: Depot,
    name: str,
    password: str,
    *,
    door: str,
    address: str | None = None,
    access: timedelta = ACCESS_LIFETIME,
    refresh: timedelta,
) -> Obtained:
    """Log in for signed tokens of this door.

    Raises:
        As `login`.
    """

    def then(conn: Connection, user: User) -> tuple[Signed, Signed]:
        mine = _installation(conn)
        return (
            _sign(depot, mine, user, door, jwt.Kind.ACCESS, Scope.ADMIN, access),
            _sign(depot, mine, user, door, jwt.Kind.REFRESH, Scope.ADMIN, refresh),
        )

    actor, (first, second) = _login(depot, name, password, door=door, address=address, narrow=None, then=then)
    return Obtained(actor, first, second)


def refresh(depot: Depot, text: str, *, door: str, access: timedelta = ACCESS_LIFETIME) -> Signed:
    """Another access token for a refresh token, which stays as it is.

    Raises:
        BadCredentials, Expired: As `credentials.authenticate`; `details["reason"]` is `kind` for an access token.
    """
    _actor, claims, user = credentials.by_signed(depot, text, door=door, kind=jwt.Kind.REFRESH)
    return _sign(depot, claims.installation, user, door, jwt.Kind.ACCESS, claims.scope, access, claims.token)


def check(depot: Depot, text: str, *, door: str) -> Actor:
    """Whose a signed token of either kind is, if it is good.

    Raises:
        BadCredentials, Expired
    """
    return credentials.entering(credentials.by_signed(depot, text, door=door, kind=None)[0], door=door)


def exchange(depot: Depot, token_id: str, text: str, *, door: str, access: timedelta = ACCESS_LIFETIME) -> Signed:
    """A signed token of this door for an API token, with its scope, limits and end.

    Raises:
        BadCredentials, Expired: As `credentials.authenticate`.
    """
    actor, token, user = credentials.by_pair(depot, Pair(token_id, text))
    with depot.catalog.read(snapshot=False) as conn:
        mine = _installation(conn)
    return _sign(depot, mine, user, door, jwt.Kind.ACCESS, actor.scope, access, token.uid, token.expires_at)


# Sessions of browsers


def open_session(
    depot: Depot,
    name: str,
    password: str,
    *,
    door: str = WEB,
    address: str | None = None,
    agent: str = "",
) -> Opened:
    """Log in from a browser.

    Args:
        agent: What the browser calls itself, so that people recognise their sessions in a list.

    Raises:
        As `login`.
    """
    cookie = secrets.new_cookie(depot)

    def then(conn: Connection, user: User) -> Session:
        return insert(conn, depot, user, cookie, address=address, agent=agent)

    actor, session = _login(depot, name, password, door=door, address=address, narrow=None, then=then)
    return Opened(actor, session, cookie)


def insert(conn: Connection, depot: Depot, user: User, cookie: str, *, address: str | None, agent: str) -> Session:
    """The row of a session that begins now, in the transaction that notes the login."""
    now, digest = depot.now(), secrets.digest(cookie)
    detail = {"address": address or "", "agent": _agent(agent)}
    expires_at = now + depot.policy.session_lifetime
    rows.insert_session(
        conn,
        digest=digest,
        user_n=user.n,
        kind=WEB,
        epoch=user.epoch,
        detail=detail,
        at=now,
        expires_at=expires_at,
    )
    return Session(rows.public_id(digest), user.n, WEB, detail, now, expires_at)


def close_session(depot: Depot, cookie: str) -> None:
    """Log out: the cookie is worth nothing from now on. Repeating it is a success."""
    depot.catalog.write(lambda conn: rows.end(conn, secrets.digest(cookie)))


def list_sessions(depot: Depot, actor: Actor, *, user: UserKey | None = None) -> tuple[Session, ...]:
    """Where somebody is logged in, newest first: oneself; for staff anybody."""
    with depot.catalog.read() as conn:
        whose = _whose(conn, actor, user, lock=False)
        return tuple(session for session, _digest in rows.of_user(conn, whose.n, epoch=whose.epoch, now=depot.now()))


def end_session(depot: Depot, actor: Actor, session_id: str, *, user: UserKey | None = None) -> None:
    """End one session of a list.

    Raises:
        NotFound: That user has no session of that id, or it is over.
    """

    def work(conn: Connection) -> None:
        whose = _whose(conn, actor, user, lock=True)
        for session, digest in rows.of_user(conn, whose.n, epoch=whose.epoch, now=depot.now()):
            if session.id == session_id:
                rows.end(conn, digest)
                return
        raise NotFound(f"There is no session {session_id}, or it is over.")

    depot.catalog.write(work)


def end_all(depot: Depot, actor: Actor, *, user: UserKey | None = None) -> None:
    """End every session and signed token of somebody, at all doors. API tokens stay."""
    now = depot.now()

    def work(conn: Connection) -> None:
        whose = _whose(conn, actor, user, lock=True)
        user_rows.end_credentials(conn, whose.n)
        rows.end_all(conn, whose.n)
        record(conn, actor, "user.updated", at=now, subject=people.id_of(whose), detail={"changed": "sessions ended"})

    depot.catalog.write(work)


def sweep(depot: Depot, *, limit: int = 1000) -> int:
    """Remove sessions that are out of date and failures that no limit looks at any more; says how many rows.

    At most `limit` of each. For the periodic job; nothing depends on when it runs.
    """
    now = depot.now()
    until = now - depot.policy.login_window
    return depot.catalog.write(
        lambda conn: rows.sweep(conn, now, limit=limit) + rows.sweep_failures(conn, until, limit=limit)
    )


# How it is done


def _login(
    depot: Depot,
    name: str,
    password: str,
    *,
    door: str,
    address: str | None,
    narrow: Mapping[Action, Rule] | None,
    then: Callable[[Connection, User], T],
) -> tuple[Actor, T]:
    """Check a password, and do `then` in the transaction that notes the success."""
    wanted = _form(name)
    account = attempts.account_key(depot, wanted or name)
    with depot.catalog.read() as conn:
        attempts.require_room(depot, conn, account, address)
        known = None if wanted is None else user_rows.for_login(conn, wanted)
    stored = known[1] if known is not None else None
    right = passwords.matches(depot, stored, password)
    fresh = passwords.hashed(depot, password) if right and stored and passwords.is_dated(depot, stored) else None

    def work(conn: Connection) -> tuple[Actor, T] | None:
        now = depot.now()
        attempts.require_room(depot, conn, account, address)
        user = user_rows.find(conn, n=known[0].n, lock=True) if known is not None else None
        # Locked and read again: the account may have been closed while the hash was computed.
        if user is None or not right or not user.is_active or user_rows.password_of(conn, user.n) != stored:
            attempts.failed(conn, account, address, now)
            actor = credentials.entering(ANONYMOUS, door=door, address=address)
            # Only names of real accounts are written down: people type passwords where the name belongs.
            record(
                conn,
                actor,
                "login.failed",
                at=now,
                subject=None if user is None else people.id_of(user),
                detail={"user": None if user is None else user.name, "address": address},
            )
            return None
        attempts.succeeded(conn, account, address)
        user_rows.change(conn, user.n, {"last_login_at": now, **({} if fresh is None else {"password": fresh})})
        actor = credentials.entering(credentials.whole(user), door=door, address=address, narrow=narrow)
        record(
            conn,
            actor,
            "login.succeeded",
            at=now,
            subject=people.id_of(user),
            detail={"user": user.name, "address": address},
        )
        return actor, then(conn, user)

    outcome = depot.catalog.write(work)
    if outcome is None:
        raise BadCredentials(
            "There is no active account with this name and password. Check both.", details={"reason": "login"}
        )
    return outcome


def _form(name: str) -> str | None:
    """The name as accounts are kept; None for what cannot be one."""
    try:
        return names.user_name(name)
    except InvalidName:
        return None


def _sign(
    depot: Depot,
    mine: UUID,
    user: User,
    door: str,
    kind: jwt.Kind,
    scope: Scope,
    lifetime: timedelta,
    token: UUID | None = None,
    at_most: datetime | None = None,
) -> Signed:
    now = depot.now()
    end = now + lifetime if at_most is None else min(now + lifetime, at_most)
    # Whole seconds on the wire: say the same end that the token says.
    end = end.replace(microsecond=0)
    claims = jwt.Claims(mine, user.uid, door, kind, user.epoch, scope, token, now, end)
    return Signed(jwt.sign(depot, claims), end, scope)


def _installation(conn: Connection) -> UUID:
    found = installation.uid(conn)
    if found is None:
        raise Unavailable("This server has not been set up yet. Start it once.")
    return found


def _whose(conn: Connection, actor: Actor, key: UserKey | None, *, lock: bool) -> User:
    if key is None:
        key = logged_in(actor)
    return people.managed(conn, actor, key, lock=lock)


def _agent(text: str) -> str:
    """What a browser says of itself, bounded and in one line."""
    return "".join(c for c in text[:200] if c.isprintable())
