"""Signed tokens (JWT), for the doors whose clients insist on them.

Compact JWS, HS256, signed with a key that is derived from the installation's secret. Claims:

    iss    the installation, 32 hex digits          aud    the door that made it, the only one that takes it
    sub    the user's uid, 32 hex digits            kind   access or refresh
    epoch  the user's epoch; a later one ends it    scope  at most what the credential it was made with carries
    tok    the API token it was made with, if any   iat, exp   seconds since 1970

What is checked here needs no catalogue: signature, door, kind, time. Whether user, epoch and token still stand is asked
at each use (`depot.sessions`), so that taking a right away acts at once.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from entrepot.depot.context import Depot
from entrepot.model.errors import BadCredentials, Expired
from entrepot.model.values import Scope

if TYPE_CHECKING:
    # With it comes a whole library of ciphers; most servers never see a signed token, and those that do load it then.
    from joserfc.jwk import OctKey


ALGORITHM = "HS256"
#: Ours have some 350 characters.
MAX_LENGTH = 4096


class Kind(StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"


@dataclass(frozen=True, slots=True)
class Claims:
    installation: UUID
    user: UUID
    door: str
    kind: Kind
    epoch: int
    scope: Scope
    token: UUID | None
    issued_at: datetime
    expires_at: datetime


def sign(depot: Depot, claims: Claims) -> str:
    content: dict[str, Any] = {
        "iss": claims.installation.hex,
        "aud": claims.door,
        "sub": claims.user.hex,
        "kind": claims.kind.value,
        "epoch": claims.epoch,
        "scope": claims.scope.value,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
    }
    if claims.token is not None:
        content["tok"] = claims.token.hex
    from joserfc import jwt

    return jwt.encode({"alg": ALGORITHM}, content, _key(depot.secret), algorithms=[ALGORITHM])


def read(depot: Depot, text: str, *, door: str, kind: Kind | None) -> Claims:
    """The claims of a token that this installation signed for this door and that is not out of date.

    Args:
        kind: Which kind it has to be; None takes either.

    Raises:
        BadCredentials: `details["reason"]` is `signature`, `door` or `kind`.
        Expired: It was good once.
    """
    if len(text) > MAX_LENGTH:
        raise _refusal("signature", "This signed token is not one that this server makes.")
    claims = _verified(depot.secret, text)
    if claims.door != door:
        raise _refusal("door", "This signed token was made at another door of the server and works only there.")
    if kind is not None and claims.kind is not kind:
        raise _refusal("kind", f"This is a token of kind {claims.kind}; here one of kind {kind} is needed.")
    if claims.expires_at <= depot.now():
        raise Expired("This signed token is out of date. Refresh it or log in again.", details={"reason": "expired"})
    return claims


@lru_cache(maxsize=1024)
def _verified(secret: bytes, text: str) -> Claims:
    """What a token says that was signed with a key of this secret.

    Kept, because a client shows the same token with every request and what it says never changes. A refusal is not.

    Raises:
        BadCredentials
    """
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        content = jwt.decode(text, _key(secret), algorithms=[ALGORITHM]).claims
        return Claims(
            installation=UUID(hex=content["iss"]),
            user=UUID(hex=content["sub"]),
            door=str(content["aud"]),
            kind=Kind(content["kind"]),
            epoch=int(content["epoch"]),
            scope=Scope(content["scope"]),
            token=UUID(hex=content["tok"]) if "tok" in content else None,
            issued_at=datetime.fromtimestamp(content["iat"], UTC),
            expires_at=datetime.fromtimestamp(content["exp"], UTC),
        )
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as unread:
        # Another server's, another key's, or damaged: clients keep tokens longer than servers keep keys.
        raise _refusal("signature", "This signed token is not one that this server makes. Log in again.") from unread


@lru_cache(maxsize=8)
def _key(secret: bytes) -> OctKey:
    from joserfc.jwk import OctKey

    # The secret signs other things too; a signature of one kind must not be one of another.
    return OctKey.import_key(hmac.new(secret, b"entrepot signed tokens", hashlib.sha256).digest())


def _refusal(reason: str, message: str) -> BadCredentials:
    return BadCredentials(message, details={"reason": reason})
