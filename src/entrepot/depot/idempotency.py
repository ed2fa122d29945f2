"""Requests that may be sent twice and shall count once.

A client that lost an answer cannot know whether its request was carried out. It sends it again with the same key, and
gets the first answer again.

    claim ──► the work ──► keep          the same request later: replayed
          └─► it failed ──► release      the same request later: tried again

The key is claimed before the work, so that two copies of a request that arrive together do it once. Whoever claimed
it shows now and then that it still works (`renew`). If it dies, the claim ends by itself after `LEASE`, and a repeat
does the work again: only then can something be done twice, which is why commits also take an expected revision.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from entrepot.catalog import idempotency as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, InProgress, Malformed

#: A claim without a sign of life for so long is dead.
LEASE = timedelta(seconds=60)
RENEW_EVERY_S = 20.0
#: Larger answers are not kept; a repeat of such a request is carried out again.
MAX_BODY = 4 << 20

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work of one request, and the duty to `keep` or `release`."""

    user: int
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What the first request of this key was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fingerprint(*parts: bytes) -> bytes:
    """What tells one request from another: method, path, query and body."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def claim(depot: Depot, actor: Actor, key: str, request: bytes) -> Claim | Replay:
    """Claim a key for a request, or answer what the same request was answered before.

    Args:
        key: 1 to 255 visible ASCII characters, chosen by the client; each user has their own.
        request: Its `fingerprint`.

    Raises:
        Malformed: It cannot be a key.
        Conflict: The key was used for another request.
        InProgress: The same request is being carried out now.
    """
    if _KEY.fullmatch(key) is None:
        raise Malformed("An idempotency key is 1 to 255 visible ASCII characters. Use a UUID.")
    user = lookup.person(actor)
    now = depot.now()

    def work(conn: Connection) -> Claim | Replay:
        known = rows.find(conn, user, key, lock=True)
        if known is not None:
            lifetime = LEASE if known.status is None else depot.policy.idempotency_lifetime
            if known.at + lifetime <= now:
                rows.remove(conn, user, key)
            elif known.fingerprint != request:
                raise Conflict("This idempotency key was used for another request. Use a fresh key for each request.")
            elif known.status is None:
                raise _under_way()
            else:
                return Replay(known.status, known.headers, known.body)
        rows.claim(conn, user, key, request, now)
        return Claim(user, key, request)

    try:
        return depot.catalog.write(work)
    except ConstraintViolated as race:
        raise _under_way() from race


def _under_way() -> InProgress:
    return InProgress(
        "The first request with this idempotency key is still being carried out. Send it again in a moment.",
        details={"retry_after_s": 1},
    )


def renew(depot: Depot, mine: Claim) -> None:
    """Show that the work goes on."""
    now = depot.now()
    depot.catalog.write(lambda conn: rows.renew(conn, mine.user, mine.key, mine.fingerprint, now))


def keep(depot: Depot, mine: Claim, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Keep the answer for repeats."""
    if len(body) > MAX_BODY:
        release(depot, mine)
        return
    now = depot.now()
    depot.catalog.write(
        lambda conn: rows.answer(
            conn, mine.user, mine.key, mine.fingerprint, status=status, headers=headers, body=body, at=now
        )
    )


def release(depot: Depot, mine: Claim) -> None:
    """Nothing was done, or nothing that a repeat would do twice: let it be tried again."""
    depot.catalog.write(lambda conn: rows.release(conn, mine.user, mine.key, mine.fingerprint))


def sweep(depot: Depot, *, limit: int = 1000) -> int:
    """Forget up to `limit` answers whose time is over; says how many.

    For the periodic job; nothing depends on when it runs.
    """
    before = depot.now() - max(depot.policy.idempotency_lifetime, LEASE)
    return depot.catalog.write(lambda conn: rows.sweep(conn, before, limit=limit))
