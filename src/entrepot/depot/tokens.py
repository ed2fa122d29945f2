"""API tokens: what programs show. The text is told once, to whoever makes the token; only its digest is kept.

A token never reaches further than the credential it was made with: not in scope, projects, node or time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from entrepot.catalog import projects as project_rows
from entrepot.catalog import tokens as rows
from entrepot.catalog.connection import Connection
from entrepot.depot import nodes, paging, people, secrets
from entrepot.depot.context import Depot
from entrepot.depot.events import record
from entrepot.depot.nodes import NodeKey
from entrepot.depot.people import UserKey, logged_in
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor, Standing, may, require
from entrepot.model.errors import Forbidden, Hidden, Invalid, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Page, Scope, Token, User

#: The catalogue's number, the uid, or `tok_…`.
TokenKey: TypeAlias = int | UUID | str

#: The catalogue's number, the uid, or the slug.
ProjectKey: TypeAlias = int | UUID | str

MAX_TOKEN_NAME = 255
MAX_PROJECTS = 1000
_ORDER = (Scope.READ, Scope.WRITE, Scope.ADMIN)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token and, this once, its text. Whoever logs the value does not log the text."""

    token: Token
    text: str = field(repr=False)


def create(
    depot: Depot,
    actor: Actor,
    *,
    scope: Scope,
    name: str = "",
    user: UserKey | None = None,
    projects: Sequence[ProjectKey] | None = None,
    node: NodeKey | None = None,
    expires_at: datetime | None = None,
    never: bool = False,
) -> NewToken:
    """Make a token for oneself or, as staff, for somebody else.

    It needs a login, or a token of scope admin that is not limited to projects.

    Args:
        projects: By number, uid or slug, if the token shall reach only these.
        node: Bind it to a node; staff only.
        expires_at: Not given, the server's usual lifetime, and no longer than the token it is made with.
        never: It has no end, on purpose.

    Raises:
        Forbidden: It would reach further than the credential it is made with.
        NotFound: A project or node that is not there, or that the caller may not see.
        Invalid: An end in the past, both an end and none, an empty list of projects, a deactivated user.
    """

    def work(conn: Connection) -> NewToken:
        now = depot.now()
        owner = _owner(conn, actor, user)
        if not owner.is_active:
            raise Invalid(f"The account of {owner.name} is deactivated; a token of it would not work.")
        _require_scope(actor, scope)
        limited = _projects(conn, actor, projects)
        bound = _node(conn, actor, node)
        end = _end(depot, conn, actor, now, expires_at, never)
        text = secrets.new_token(depot)
        n = rows.insert_token(
            conn,
            uid=depot.new_uid(),
            user_n=owner.n,
            name=names.label(name, MAX_TOKEN_NAME, "Token name", may_be_empty=True),
            digest=secrets.digest(text),
            scope=scope,
            projects=limited,
            node=bound,
            at=now,
            expires_at=end,
        )
        made = rows.find(conn, n=n)
        assert made is not None
        record(
            conn,
            actor,
            "token.created",
            at=now,
            subject=id_of(made),
            after={
                "user": owner.name,
                "name": made.name,
                "scope": scope.value,
                "projects": None if limited is None else list(limited),
                "node": bound,
                "expires_at": None if end is None else end.isoformat(),
            },
        )
        return NewToken(made, text)

    return depot.catalog.write(work)


def get(depot: Depot, actor: Actor, key: TokenKey) -> Token:
    """One token, without its text. Its user, and staff.

    Raises:
        NotFound, Hidden: There is none, or it is somebody else's.
    """
    with depot.catalog.read() as conn:
        return _find(conn, actor, key)


def list_tokens(
    depot: Depot,
    actor: Actor,
    *,
    user: UserKey | None = None,
    revoked: bool = False,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[Token]:
    """Tokens in order of creation: one's own; for staff anybody's.

    Args:
        revoked: Those too that are revoked or out of date.
    """
    with depot.catalog.read() as conn:
        owner = logged_in(actor) if user is None else _whose(conn, actor, user).n
    now = depot.now()

    def fetch(after: int | None, size: int) -> list[Token]:
        with depot.catalog.read() as conn:
            return rows.page(conn, user_n=owner, revoked=revoked, now=now, after=after, limit=size)

    return paging.numbered(depot, f"tokens:{owner}:{revoked}", cursor, limit, fetch, lambda token: token.n)


def rename(depot: Depot, actor: Actor, key: TokenKey, name: str) -> Token:
    """Call a token something else; what it can do stays. Its user, by a login or a token of scope admin, and staff.

    Raises:
        NotFound, Hidden: There is none, or it is somebody else's.
        Invalid: It cannot be a name.
    """
    wanted = names.label(name, MAX_TOKEN_NAME, "Token name", may_be_empty=True)
    now = depot.now()

    def work(conn: Connection) -> Token:
        found = _find(conn, actor, key, lock=True)
        _require_account(conn, actor, found.user)
        if found.name == wanted:
            return found
        rows.rename(conn, found.n, wanted)
        record(
            conn,
            actor,
            "token.updated",
            at=now,
            subject=id_of(found),
            before={"user": found.user_name, "name": found.name},
            after={"name": wanted},
        )
        return replace(found, name=wanted)

    return depot.catalog.write(work)


def revoke(depot: Depot, actor: Actor, key: TokenKey) -> Token:
    """End a token; it fails from the next request on, and so do signed tokens made from it. Repeating is a success.

    Any token may end itself; others need a login or a token of scope admin of the same user, or staff.
    """
    now = depot.now()

    def work(conn: Connection) -> Token:
        found = _find(conn, actor, key, lock=True)
        if actor.token != found.n:
            _require_account(conn, actor, found.user)
        if found.revoked_at is not None:
            return found
        rows.revoke(conn, found.n, now)
        record(
            conn,
            actor,
            "token.revoked",
            at=now,
            subject=id_of(found),
            before={"user": found.user_name, "name": found.name, "scope": found.scope.value},
        )
        after = rows.find(conn, n=found.n)
        assert after is not None
        return after

    return depot.catalog.write(work)


def id_of(token: Token) -> str:
    return ids.encode(Noun.TOKEN, token.uid)


def _find(conn: Connection, actor: Actor, key: TokenKey, *, lock: bool = False) -> Token:
    uid = ids.decode(Noun.TOKEN, key) if isinstance(key, str) else key if isinstance(key, UUID) else None
    found = rows.find(conn, n=key if isinstance(key, int) else None, uid=uid, lock=lock)
    missing = f"There is no token {key if uid is None else ids.encode(Noun.TOKEN, uid)}, or you may not see it."
    if found is None:
        raise NotFound(missing)
    if actor.user != found.user and not may(actor, Action.MANAGE_USERS, Standing()):
        raise Hidden(missing)
    return found


def _whose(conn: Connection, actor: Actor, user: UserKey) -> User:
    """The user named, if the actor may see their tokens."""
    found = people.locate(conn, actor, user)
    people.shown(actor, found, user)
    if found.n != actor.user:
        require(actor, Action.MANAGE_USERS, Standing(), f"users' tokens, here those of {found.name}", visible=True)
    return found


def _owner(conn: Connection, actor: Actor, user: UserKey | None) -> User:
    """Whom the token is for, if the actor may make one for them."""
    found = people.locate(conn, actor, logged_in(actor) if user is None else user)
    people.shown(actor, found, found.n if user is None else user)
    _require_account(conn, actor, found.n)
    return found


def _require_account(conn: Connection, actor: Actor, user_n: int) -> None:
    people.managed(conn, actor, user_n)


def _require_scope(actor: Actor, scope: Scope) -> None:
    if _ORDER.index(scope) > _ORDER.index(actor.scope):
        raise Forbidden(f"You are here with scope {actor.scope} and cannot make a token of scope {scope}.")


def _projects(conn: Connection, actor: Actor, projects: Sequence[ProjectKey] | None) -> tuple[int, ...] | None:
    """The numbers, each of a project that the caller may see; those of the caller's own limit where none are given."""
    if projects is None:
        return actor.projects
    if not 1 <= len(projects) <= MAX_PROJECTS:
        raise Invalid(
            f"A token can be limited to 1 to {MAX_PROJECTS} projects, not {len(projects)}. "
            "To give it all of its user's projects, do not limit it.",
            details={"field": "projects"},
        )
    wanted: list[int] = []
    for key in projects:
        found = project_rows.find_by(conn, key, user=actor.user)
        if found is None or not may(actor, Action.VIEW_PROJECT, Standing(found[1], found[0].n)):
            shown = ids.encode(Noun.PROJECT, key) if isinstance(key, UUID) else key
            raise NotFound(f"There is no project {shown}, or you may not see it.", details={"field": "projects"})
        wanted.append(found[0].n)
    return tuple(dict.fromkeys(wanted))


def _node(conn: Connection, actor: Actor, node: NodeKey | None) -> int | None:
    if node is None:
        return actor.node if actor.token is not None and actor.node is not None else None
    require(actor, Action.MANAGE_NODES, Standing(), "nodes; binding a token to one is part of that", visible=True)
    found = nodes.locate(conn, node)
    if not found.is_active:
        raise Invalid(f"Node {found.name} is deactivated. Have it reactivated first.", details={"field": "node"})
    return found.n


def _end(
    depot: Depot, conn: Connection, actor: Actor, now: datetime, expires_at: datetime | None, never: bool
) -> datetime | None:
    own = rows.find(conn, n=actor.token) if actor.token is not None else None
    bound = None if own is None else own.expires_at
    if never and expires_at is not None:
        raise Invalid("Give an end or say that there is none, not both.", details={"field": "expires_at"})
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise Invalid(
            "The end of a token lies in the future and says its time zone, such as 2030-01-31T00:00:00Z.",
            details={"field": "expires_at"},
        )
    if bound is not None and (never or (expires_at is not None and expires_at > bound)):
        raise Forbidden(f"Your token ends {bound:%Y-%m-%d %H:%M} UTC; one that is made with it cannot end later.")
    if never:
        return None
    end = expires_at if expires_at is not None else now + depot.policy.token_lifetime
    return end if bound is None else min(end, bound)
