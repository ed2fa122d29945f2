"""Signing in as somebody whom a provider of identities proved: which account that is.

An account is found by issuer and subject, and by nothing else. An address or a name that a provider reports is not
proof of being the person of ours who has the same: whoever already has an account links the provider to it while they
are signed in.
"""

from __future__ import annotations

from entrepot.catalog import identities as rows
from entrepot.catalog import users as user_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import credentials, people, secrets, sessions, users
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.sessions import WEB, Opened
from entrepot.model import names
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.errors import BadCredentials, Conflict, Invalid, NotFound
from entrepot.model.sign_in import Identity, Proven
from entrepot.model.values import User

__all__ = ["link", "list_identities", "open_session", "unlink"]


def open_session(
    depot: Depot, proven: Proven, *, create: bool, door: str = WEB, address: str | None = None, agent: str = ""
) -> Opened:
    """Log in whoever was proven.

    Args:
        create: Whether somebody without an account gets one; never one that is there already.
        agent: What the browser calls itself.

    Raises:
        BadCredentials: There is no account, or it is closed; `details["reason"]` is `unknown` or `closed`.
    """
    cookie = secrets.new_cookie(depot)
    with depot.catalog.read() as conn:
        known = rows.find(conn, proven.issuer, proven.subject)
    if known is None:
        if not create:
            raise BadCredentials(
                "No account here is linked to yours there. Sign in with your password and link it, or ask an "
                "administrator for an account.",
                details={"reason": "unknown"},
            )
        known = _made(depot, proven, Actor(door=door, address=address))

    def work(conn: Connection) -> Opened | None:
        now = depot.now()
        user = user_rows.find(conn, n=known, lock=True)
        # Read again under the lock: the link may have been taken away, or the account closed.
        if user is None or not user.is_active or rows.find(conn, proven.issuer, proven.subject) != user.n:
            actor = credentials.entering(ANONYMOUS, door=door, address=address)
            detail = {"user": None if user is None else user.name, "address": address, "issuer": proven.issuer}
            subject = None if user is None else people.id_of(user)
            record(conn, actor, "login.failed", at=now, subject=subject, detail=detail)
            return None
        rows.note_use(conn, proven.issuer, proven.subject, at=now)
        user_rows.change(conn, user.n, {"last_login_at": now})
        actor = credentials.entering(credentials.whole(user), door=door, address=address)
        detail = {"user": user.name, "address": address, "issuer": proven.issuer}
        record(conn, actor, "login.succeeded", at=now, subject=people.id_of(user), detail=detail)
        return Opened(actor, sessions.insert(conn, depot, user, cookie, address=address, agent=agent), cookie)

    opened = depot.catalog.write(work)
    if opened is None:
        raise BadCredentials("This account is closed. Ask an administrator.", details={"reason": "closed"})
    return opened


def link(depot: Depot, actor: Actor, proven: Proven) -> Identity:
    """Let whoever was proven in as the actor from now on. Repeating it is a success.

    Raises:
        Conflict: It is somebody else's way in.
    """

    def work(conn: Connection) -> Identity:
        now = depot.now()
        user = people.managed(conn, actor, people.logged_in(actor))
        whose = rows.find(conn, proven.issuer, proven.subject)
        if whose is None:
            _insert(conn, proven, user.n, depot)
            record(conn, actor, "user.updated", at=now, subject=people.id_of(user), detail=_told("linked", proven))
        elif whose != user.n:
            raise Conflict("That account of the provider is linked to another account here. Unlink it there first.")
        return next(one for one in rows.of_user(conn, user.n) if _same(one, proven.issuer, proven.subject))

    try:
        return depot.catalog.write(work)
    except ConstraintViolated as clash:
        raise Conflict("That account of the provider was linked just now. Load the page again.") from clash


def list_identities(depot: Depot, actor: Actor) -> tuple[Identity, ...]:
    """One's own ways in by a provider."""
    with depot.catalog.read() as conn:
        user = people.managed(conn, actor, people.logged_in(actor), lock=False)
        return tuple(rows.of_user(conn, user.n))


def unlink(depot: Depot, actor: Actor, issuer: str, subject: str) -> None:
    """Take one of one's own ways in away. Sessions that were opened by it stay until they are ended.

    Raises:
        NotFound
        Conflict: It is the only one, and there is no password.
    """

    def work(conn: Connection) -> None:
        user = people.managed(conn, actor, people.logged_in(actor))
        mine = rows.of_user(conn, user.n)
        if not any(_same(one, issuer, subject) for one in mine):
            raise NotFound("That is not linked to your account, or not any more.")
        if len(mine) == 1 and not user.has_password:
            raise Conflict("You have no password: without this you could not sign in. Have a password set first.")
        rows.remove(conn, issuer, subject, user_n=user.n)
        told = {"changed": "sign-in unlinked", "issuer": issuer, "subject": subject}
        record(conn, actor, "user.updated", at=depot.now(), subject=people.id_of(user), detail=told)

    depot.catalog.write(work)


def _made(depot: Depot, proven: Proven, actor: Actor) -> int:
    """The number of a new account for them, linked; or of the one that another request made at the same moment."""
    first, last = (" ".join(text.split())[: users.MAX_PERSON_NAME] for text in (proven.first_name, proven.last_name))
    base = names.derive_slug(proven.name.partition("@")[0][:60], fallback="user")

    def work(conn: Connection) -> User:
        name = names.next_slug(base, lambda wish: user_rows.find(conn, name=wish) is not None)
        try:
            wish = users.new_user(
                depot, name, password=None, email=proven.email, first_name=_clean(first), last_name=_clean(last)
            )
        except Invalid:
            # What the provider says of somebody must not keep them out.
            wish = users.new_user(depot, name, password=None)
        made = users.insert(depot, conn, actor, wish)
        _insert(conn, proven, made.n, depot)
        record(conn, actor, "user.updated", at=depot.now(), subject=people.id_of(made), detail=_told("linked", proven))
        return made

    try:
        return users.retrying_slugs(depot, work).n
    except (ConstraintViolated, Conflict):
        with depot.catalog.read() as conn:
            known = rows.find(conn, proven.issuer, proven.subject)
        if known is None:
            raise
        return known


def _insert(conn: Connection, proven: Proven, user_n: int, depot: Depot) -> None:
    shown = _clean(proven.email or proven.name)[:254]
    rows.insert_identity(conn, proven.issuer, proven.subject, user_n=user_n, shown=shown, at=depot.now())


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


def _same(one: Identity, issuer: str, subject: str) -> bool:
    return (one.issuer, one.subject) == (issuer, subject)


def _told(what: str, proven: Proven) -> dict[str, str]:
    return {"changed": f"sign-in {what}", "issuer": proven.issuer, "subject": proven.subject}
