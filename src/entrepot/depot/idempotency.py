"""Requests that may be sent twice and shall count once.

A client that lost an answer cannot know whether its request was carried out. It sends it again with the same key, and
gets the first answer again.

    claim ──► the work, which settles the key ──► keep      the same request later: replayed
          │                                  └─► (died)     the same request later: told what was done
          └─► it failed, nothing was done ──► release       the same request later: tried again

The key is claimed before the work, so that two copies of a request that arrive together do it once. It is settled in
the transaction of the work itself: from the moment in which something is done, the key says so, and nobody does it
again, whoever dies where. Whoever claimed it shows now and then that it still works (`renew`). A claim without a sign
of life for `LEASE`, under which nothing was done, is over, and a repeat does the work; should the first copy wake up
after all, its own work is refused, because the claim is not its own any more. The one server of an SQLite file knows at
its start that nobody works, and does not wait for that (`release_all`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from entrepot.catalog import idempotency as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import ConstraintViolated
from entrepot.catalog.deeds import Deed, settling
from entrepot.depot import lookup
from entrepot.depot.context import Depot
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, InProgress, Malformed

__all__ = [
    "Claim",
    "Deed",
    "Done",
    "Replay",
    "carrying_out",
    "claim",
    "fingerprint",
    "keep",
    "release",
    "release_all",
    "renew",
    "sweep",
]

#: A claim without a sign of life for so long is dead.
LEASE = timedelta(seconds=60)
RENEW_EVERY_S = 20.0
#: Larger answers are not kept; a repeat of such a request is told what was done.
MAX_BODY = 4 << 20

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work of one request, and the duty to `keep` or `release`."""

    user: int
    key: str
    holder: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What the first request of this key was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The first request of this key was carried out, and no answer to it was kept. Whoever makes one may `keep` it."""

    claim: Claim
    deeds: tuple[Deed, ...]


def fingerprint(*parts: bytes) -> bytes:
    """What tells one request from another: method, path, query and body."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def claim(depot: Depot, actor: Actor, key: str, request: bytes) -> Claim | Replay | Done:
    """Claim a key for a request, or tell what became of the same request before.

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
    # A body may hold a password: its digest alone could be guessed from a stolen catalogue.
    request = hmac.digest(depot.secret, b"idempotency:" + request, "sha256")
    mine = Claim(user, key, depot.entropy(16))

    def work(conn: Connection) -> Claim | Replay | Done:
        known = rows.find(conn, user, key, lock=True)
        if known is not None:
            waiting = known.status is None and not known.done
            if known.at + (LEASE if waiting else depot.policy.idempotency_lifetime) <= now:
                rows.remove(conn, user, key)
            elif known.fingerprint != request:
                raise Conflict("This idempotency key was used for another request. Use a fresh key for each request.")
            elif known.status is not None:
                return Replay(known.status, known.headers, known.body)
            elif known.done:
                return Done(Claim(user, key, known.holder), known.done)
            else:
                raise _under_way()
        rows.claim(conn, user, key, request, mine.holder, now)
        return mine

    try:
        return depot.catalog.write(work)
    except ConstraintViolated as race:
        raise _under_way() from race


def _under_way() -> InProgress:
    return InProgress(
        "The first request with this idempotency key is still being carried out. Send it again in a moment.",
        details={"retry_after_s": 1},
    )


@contextmanager
def carrying_out(depot: Depot, mine: Claim) -> Iterator[None]:
    """Around the work: what is done in this context settles the key, in the same transaction.

    A write that does something raises `InProgress` and does nothing when the claim is lost: it was not renewed for too
    long, and another copy of the request has it.
    """

    def settle(conn: Connection, deeds: Sequence[Deed]) -> None:
        if not rows.settle(conn, mine.user, mine.key, mine.holder, deeds, depot.now()):
            raise _under_way()

    with settling(settle):
        yield


def renew(depot: Depot, mine: Claim) -> None:
    """Show that the work goes on."""
    now = depot.now()
    depot.catalog.write(lambda conn: rows.renew(conn, mine.user, mine.key, mine.holder, now))


def keep(depot: Depot, mine: Claim, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Keep the answer for repeats."""
    if len(body) > MAX_BODY:
        release(depot, mine)
        return
    now = depot.now()
    depot.catalog.write(
        lambda conn: rows.answer(
            conn, mine.user, mine.key, mine.holder, status=status, headers=headers, body=body, at=now
        )
    )


def release(depot: Depot, mine: Claim) -> None:
    """There is no answer to keep: let it be tried again, unless something was done."""
    depot.catalog.write(lambda conn: rows.release(conn, mine.user, mine.key, mine.holder))


def release_all(depot: Depot) -> None:
    """Give up the claims of a server that is gone, under which nothing was done: their repeats need not wait.

    For the only server of a catalogue, as it starts. Should somebody still work under one of them, it is refused.
    """
    depot.catalog.write(rows.release_all)


def sweep(depot: Depot, *, limit: int = 1000) -> int:
    """Forget up to `limit` answers whose time is over; says how many.

    For the periodic job; nothing depends on when it runs.
    """
    before = depot.now() - max(depot.policy.idempotency_lifetime, LEASE)
    return depot.catalog.write(lambda conn: rows.sweep(conn, before, limit=limit))
