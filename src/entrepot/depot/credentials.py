"""From what a request shows to who asks: `authenticate`, the first step of every door.

| Shown                | Credential | Rights                                                       |
|----------------------|------------|--------------------------------------------------------------|
| nothing              | None       | anonymous                                                    |
| API token            | `Bearer`   | the user's, capped by scope, projects, node                  |
| signed token         | `Bearer`   | as what it was made with: a password, or an API token        |
| token id and token   | `Pair`     | as the API token                                             |
| cookie of a session  | `Cookie`   | the user's, whole                                            |

One indexed read each. What is found holds for this request; memberships are looked up by each use case itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from entrepot.catalog import credentials as rows
from entrepot.catalog import nodes as node_rows
from entrepot.catalog import tokens as token_rows
from entrepot.catalog import users as user_rows
from entrepot.catalog.credentials import Identity
from entrepot.depot import jwt, secrets
from entrepot.depot.context import Depot
from entrepot.model import ids
from entrepot.model.access import ANONYMOUS, Action, Actor, Rule
from entrepot.model.errors import BadCredentials, Expired, NotFound, Unauthenticated, Unavailable
from entrepot.model.ids import Noun
from entrepot.model.values import Role, Scope, Token, User, Visibility

#: A token's last use is noted at most this often: a read must not cost a write each time.
NOTE_USE_EVERY = timedelta(minutes=1)

_ORDER = (Scope.READ, Scope.WRITE, Scope.ADMIN)
#: What the judge is asked when a signed link is used.
_OF_LINKS = (Action.READ_CONTENT, Action.EDIT)


@dataclass(frozen=True, slots=True)
class Bearer:
    """An API token or a signed token; which of the two shows by its form."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """A token by id (`tok_…`) and text, as OAuth2 clients send client id and secret."""

    token_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cookie:
    """What a browser keeps of a session."""

    text: str = field(repr=False)


Credential: TypeAlias = Bearer | Pair | Cookie


def authenticate(
    depot: Depot,
    credential: Credential | None,
    *,
    door: str,
    address: str | None = None,
    narrow: Mapping[Action, Rule] | None = None,
) -> Actor:
    """Who asks, through which door, with how much of their rights.

    Args:
        door: Signed tokens count only at the door that made them; events name it.
        address: Where the request comes from.
        narrow: The door's own table of narrower rules.

    Raises:
        Unauthenticated: Nothing was shown, and the operator lets nobody in like that.
        BadCredentials: Unknown, revoked, of a deactivated user or node; `details["reason"]` says which.
        Expired: It was good once.
    """
    match credential:
        case None:
            if not depot.policy.anonymous:
                raise Unauthenticated("This server answers nobody anonymously. Log in first.")
            found = ANONYMOUS
        # An API token has no dot, a signed one has two.
        case Bearer(text) if "." in text:
            found = by_signed(depot, text, door=door, kind=jwt.Kind.ACCESS)[0]
        case Bearer(text):
            found = _by_token(depot, text)[0]
        case Pair():
            found = by_pair(depot, credential)[0]
        case Cookie(text):
            found = _by_cookie(depot, text)
    return entering(found, door=door, address=address, narrow=narrow)


def as_operator(depot: Depot, name: str, *, door: str = "operator") -> Actor:
    """Somebody with the whole rights of staff, for commands that run on the data folder itself.

    Not for any door: whoever can read the folder can do everything anyway. The user only says in whose name.

    Raises:
        NotFound: There is no such user.
    """
    with depot.catalog.read() as conn:
        found = user_rows.find(conn, name=name)
    if found is None:
        raise NotFound(f"There is no user {name}.")
    return Actor(user=found.n, name=found.name, uid=found.uid, staff=True, scope=Scope.ADMIN, door=door)


# For sessions, which make credentials out of others


def entering(
    actor: Actor, *, door: str, address: str | None = None, narrow: Mapping[Action, Rule] | None = None
) -> Actor:
    """The actor, coming in through this door."""
    return actor.through(door, narrow, address=address)


def whole(user: User) -> Actor:
    """The user with all rights, as after a password."""
    return Actor(user=user.n, name=user.name, uid=user.uid, staff=user.is_staff, scope=Scope.ADMIN)


def by_signed(depot: Depot, text: str, *, door: str, kind: jwt.Kind | None) -> tuple[Actor, jwt.Claims, User]:
    """Whose a signed token is, if all that it rests on still stands.

    Raises:
        BadCredentials, Expired
    """
    claims = jwt.read(depot, text, door=door, kind=kind)
    with depot.catalog.read(snapshot=False) as conn:
        found = rows.by_uid(conn, claims.user, claims.token)
    if found is None or found[1] != claims.installation.hex:
        raise _bad("signature", "This signed token is not one that this server makes. Log in again.")
    actor = _resting_on(found[0], claims.token, claims.epoch, claims.scope, depot.now())
    return actor, claims, found[0].user


def issuer_of(depot: Depot, actor: Actor) -> dict[str, Any]:
    """What a signed link says of whoever asked for it: enough to ask the judge again when it is used.

    u, e, t   user, the epoch of what they logged in with, token: all must stand at use
    n         the node they acted for: must be active at use
    s, p, a   scope, projects, staff rights: never more at use than now
    d         the door's narrower rules for what links do
    """
    narrow = {action.value: _spelled(actor.narrow[action]) for action in _OF_LINKS if action in actor.narrow}
    if actor.uid is None:
        return {"d": narrow} if narrow else {}
    with depot.catalog.read(snapshot=False) as conn:
        found = rows.by_uid(conn, actor.uid, actor.token_uid)
        node = None if actor.node is None else node_rows.find(conn, n=actor.node)
    if found is None:
        raise _bad("unknown", "Your account is gone.")
    named: dict[str, Any] = {"u": actor.uid.hex, "e": found[0].user.epoch, "s": actor.scope.value}
    if actor.token_uid is not None:
        named["t"] = actor.token_uid.hex
    if node is not None:
        named["n"] = node.uid.hex
    # The projects of a token are read with it again; most links need not repeat them.
    token = found[0].token
    if actor.projects is not None and (token is None or actor.projects != token.projects):
        named["p"] = list(actor.projects)
    if actor.staff:
        named["a"] = 1
    if narrow:
        named["d"] = narrow
    return named


def of_issuer(depot: Depot, issuer: Mapping[str, Any], *, door: str) -> Actor:
    """Whoever made a signed link, with the rights that are theirs now and no more than they had then.

    Raises:
        BadCredentials, Expired: Their account, their token or their sessions were ended since.
        Unauthenticated: It was nobody, and nobody is let in any more.
    """
    narrow = {Action(action): _read_rule(rule) for action, rule in issuer.get("d", {}).items()}
    if "u" not in issuer:
        return authenticate(depot, None, door=door, narrow=narrow)
    token = UUID(issuer["t"]) if "t" in issuer else None
    with depot.catalog.read(snapshot=False) as conn:
        found = rows.by_uid(conn, UUID(issuer["u"]), token)
        node = node_rows.find(conn, uid=UUID(issuer["n"])) if "n" in issuer else None
    if found is None:
        raise _bad("unknown", "Whoever made this link is gone.")
    actor = _resting_on(found[0], token, issuer["e"], Scope(issuer["s"]), depot.now())
    if "n" in issuer:
        if node is None or not node.is_active or actor.node not in (None, node.n):
            raise _bad("node", "The node for which this link was made is deactivated.")
        actor = actor.acting_for(node.n)
    projects = actor.projects
    if "p" in issuer:
        projects = tuple(n for n in issuer["p"] if projects is None or n in projects)
    actor = replace(actor, staff=actor.staff and "a" in issuer, projects=projects)
    return entering(actor, door=door, narrow=narrow)


def _spelled(rule: Rule) -> list[Any]:
    everyone = sorted(visibility.value for visibility in rule.everyone)
    return [rule.role, rule.node_role, everyone, rule.any_person, rule.scope.value]


def _read_rule(spelled: Sequence[Any]) -> Rule:
    role, node_role, everyone, any_person, scope = spelled
    return Rule(
        role=None if role is None else Role(role),
        node_role=None if node_role is None else Role(node_role),
        everyone=frozenset(Visibility(one) for one in everyone),
        any_person=any_person,
        scope=Scope(scope),
    )


def by_pair(depot: Depot, pair: Pair) -> tuple[Actor, Token, User]:
    """Whose a token is that is shown with its id.

    Raises:
        BadCredentials: Also when the text is a token, but of another id.
        Expired
    """
    actor, token, user = _by_token(depot, pair.text)
    try:
        named = ids.decode(Noun.TOKEN, pair.token_id)
    except NotFound:
        named = None
    if named != token.uid:
        raise _bad("unknown", "This is no token of that id. Check both.")
    return actor, token, user


def _resting_on(identity: Identity, token_uid: UUID | None, epoch: int, scope: Scope, now: datetime) -> Actor:
    """The actor of something signed, if the account, epoch and token it was made under still stand.

    Raises:
        BadCredentials, Expired
    """
    _require_active(identity.user)
    if identity.user.epoch != epoch:
        raise _bad("epoch", "This was ended, by a new password for example. Log in again.")
    if token_uid is None:
        actor = whole(identity.user)
    elif identity.token is None:
        raise _bad("revoked", "The token that this was made with is gone. Use another one.")
    else:
        _require_good(identity, identity.token, now)
        actor = _of_token(identity.user, identity.token)
    least = min(actor.scope, scope, key=_ORDER.index)
    if least is actor.scope:
        return actor
    return replace(actor, scope=least, staff=actor.staff and least is Scope.ADMIN)


def _by_token(depot: Depot, text: str) -> tuple[Actor, Token, User]:
    with depot.catalog.read(snapshot=False) as conn:
        found = rows.by_token(conn, secrets.digest(text))
    if found is None or found.token is None:
        raise _bad("unknown", "This token is not known here. Check that it is whole and of this server.")
    now = depot.now()
    _require_active(found.user)
    _require_good(found, found.token, now)
    _note_use(depot, found.token, now)
    return _of_token(found.user, found.token), found.token, found.user


def _by_cookie(depot: Depot, text: str) -> Actor:
    with depot.catalog.read(snapshot=False) as conn:
        found = rows.by_session(conn, secrets.digest(text))
    if found is None:
        raise _bad("unknown", "This session is over. Log in again.")
    if found.expires_at <= depot.now():
        raise Expired("This session is over. Log in again.", details={"reason": "expired"})
    _require_active(found.user)
    if found.data.get("epoch") != found.user.epoch:
        raise _bad("epoch", "This session was ended, by a new password for example. Log in again.")
    return whole(found.user)


def _of_token(user: User, token: Token) -> Actor:
    return Actor(
        user=user.n,
        name=user.name,
        uid=user.uid,
        staff=user.is_staff and token.scope is Scope.ADMIN,
        scope=token.scope,
        projects=token.projects,
        node=token.node,
        token=token.n,
        token_uid=token.uid,
    )


def _require_active(user: User) -> None:
    if not user.is_active:
        raise _bad("inactive", f"The account of {user.name} is deactivated. Ask an administrator of the server.")


def _require_good(identity: Identity, token: Token, now: datetime) -> None:
    if token.revoked_at is not None:
        raise _bad("revoked", "This token was revoked. Use another one.")
    if token.expires_at is not None and token.expires_at <= now:
        raise Expired(
            f"This token ended at {token.expires_at:%Y-%m-%d %H:%M} UTC. Make another one.",
            details={"reason": "expired"},
        )
    if identity.node_active is False:
        raise _bad("node", "The node that this token is bound to is deactivated.")


def _note_use(depot: Depot, token: Token, now: datetime) -> None:
    if token.last_used_at is not None and token.last_used_at > now - NOTE_USE_EVERY:
        return
    try:
        depot.catalog.write(lambda conn: token_rows.touch(conn, token.n, at=now, unless_since=now - NOTE_USE_EVERY))
    except Unavailable:
        # A full disk must not lock out readers; that the note is missing harms nobody.
        return


def _bad(reason: str, message: str) -> BadCredentials:
    return BadCredentials(message, details={"reason": reason})
