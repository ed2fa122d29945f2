"""Bytes past the server: where the store has addresses of its own, a client that asks gets one and goes there.

    down   the judge is asked as for any read; then an address of the one object, good for minutes
    up     begin ──► the client PUTs to an address ──► finish: copy, read, compare, name

What the store hands out cannot be called back: who got an address may use it until it is over, also when the version
goes to the trash or their right is taken in that time. So the time is short, and is an operator's setting.

Nothing that a client did to the store is believed. What it sent can be written again while its address is good, so
`finish` has the store make a copy under a key that only this one attempt knows, reads that copy from its first byte to
its last, and names it only if it is what was announced. The key stands in the upload's row before the copy is made;
whatever an attempt leaves behind, the sweep of the upload finds and removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import lookup, uploads
from entrepot.depot.contents import Located, locate, open_located, refuse_damaged
from entrepot.depot.context import Depot
from entrepot.depot.entries import Opened, entry_at, entry_of, pin
from entrepot.depot.finishing import FINISHED, OPEN, name_content, name_known, read_digests
from entrepot.depot.uploads import NewUpload
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.digests import sha256_text
from entrepot.model.errors import DigestMismatch, Gone, Invalid, LengthMismatch, NotFound, Unsupported, WrongState
from entrepot.model.ids import Noun
from entrepot.model.values import Entry, Version
from entrepot.store.base import DirectAccess

__all__ = ["Arrival", "Elsewhere", "begin", "finish", "is_offered", "open_entry", "renew"]

#: Copies of one upload: each is a whole read for us, and only who sends wrong bytes needs more than a few.
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An entry whose bytes are to be had at an address of the store. Never to be logged."""

    version: Version
    revision: int
    entry: Entry
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload, and the address of the store that takes its bytes in one PUT. Never to be logged."""

    upload: UploadRow
    url: str
    expires_at: datetime


def is_offered(depot: Depot) -> bool:
    """Whether there are addresses to be had at all."""
    return isinstance(depot.store, DirectAccess) and depot.policy.direct_lifetime is not None


def _offered(depot: Depot) -> tuple[DirectAccess, timedelta]:
    lifetime = depot.policy.direct_lifetime
    if not isinstance(depot.store, DirectAccess) or lifetime is None:
        raise Unsupported("This server takes all bytes itself. Send them to it, as an upload.")
    return depot.store, lifetime


# Down


def open_entry(
    depot: Depot, actor: Actor, key: lookup.Key, path: str, *, revision: int | None = None
) -> Elsewhere | Opened:
    """Where an entry's bytes are to be had, or they themselves where that is nowhere else: in a pack, in a folder.

    Raises:
        Corrupt: Its bytes are known to be damaged.
    """
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        row = entry_at(conn, found.version, wanted, path)
        located = locate(conn, row.content)
        alone = is_offered(depot) and _is_alone(conn, depot, located)
    if not alone:
        return Opened(found.version, wanted, entry_of(row), open_located(depot, located))
    refuse_damaged(located)
    store, lifetime = _offered(depot)
    expires_at = depot.now() + lifetime
    url = store.sign_read(located.extents[0].key, lifetime)
    return Elsewhere(found.version, wanted, entry_of(row), url, expires_at)


def _is_alone(conn: Connection, depot: Depot, found: Located) -> bool:
    if len(found.extents) != 1 or found.extents[0].store != depot.store.name:
        return False
    return content_rows.is_whole_object(conn, found.extents[0])


# Up


def begin(depot: Depot, actor: Actor, new: NewUpload) -> Arrival:
    """Make room for a transfer past the server. The upload is one like any other, and takes bytes here too.

    Raises:
        Unsupported: The store has no addresses, or the operator gives none.
        Invalid: Length or SHA-256 was not announced.
        TooLarge: One address does not take so much, or the server does not.
        QuotaExceeded: The named project has no room for it.
    """
    uploads.may_send(depot, actor, new)
    store, lifetime = _offered(depot)
    if new.length is None or new.sha256 is None:
        raise Invalid("Announce length and SHA-256 of what is sent past this server, so that it can be compared.")
    if not 0 < new.length <= store.largest_arrival:
        raise Unsupported(f"Past this server go 1 to {store.largest_arrival} bytes. Send {new.length} as an upload.")
    until = depot.now() + lifetime
    made = uploads.begin(depot, actor, replace(new, detail=_detail(until, ())))
    return Arrival(made, store.sign_arrival(made.key, lifetime), until)


def _detail(until: datetime, taken: tuple[str, ...]) -> dict[str, Any]:
    return {"direct_until": until.isoformat(), "taken": list(taken)}


def renew(depot: Depot, actor: Actor, uid: UUID) -> Arrival:
    """Another address for an upload that was begun here, when the first is over.

    Raises:
        NotFound, Gone
        WrongState: It is complete, or was begun otherwise.
    """
    store, lifetime = _offered(depot)
    until = depot.now() + lifetime

    def work(conn: Connection) -> UploadRow:
        row = _waiting(conn, depot, actor, uid)
        rows.change(
            conn, row.n, {"detail": {**row.detail, "direct_until": until.isoformat()}, **_more_time(depot, row)}
        )
        return row

    row = depot.catalog.write(work)
    return Arrival(row, store.sign_arrival(row.key, lifetime), until)


def _more_time(depot: Depot, row: UploadRow) -> Mapping[str, Any]:
    now = depot.now()
    return {"touched_at": now, "expires_at": now + (row.expires_at - row.touched_at)}


def _waiting(conn: Connection, depot: Depot, actor: Actor, uid: UUID) -> UploadRow:
    """The upload, held, if its bytes may still come by an address."""
    row = uploads.own(conn, actor, uid)
    rows.hold(conn, row.n)
    row = uploads.own(conn, actor, uid)
    uploads.require_alive(depot, row)
    if row.state != OPEN or "direct_until" not in row.detail:
        raise WrongState(
            f"Upload {ids.encode(Noun.UPLOAD, uid)} "
            + ("is complete." if row.state != OPEN else "was not begun for bytes past the server. Send them to it.")
        )
    return row


def finish(depot: Depot, actor: Actor, uid: UUID) -> UploadRow:
    """Copy what arrived, read the copy, and name it if it is what was announced. Repeating it is a success.

    Raises:
        LengthMismatch: Nothing came, or more or fewer bytes than announced. These are thrown away; send them again.
        DigestMismatch: Other bytes than announced; likewise.
        Gone: It expired, was ended, or wrong bytes came too often.
    """
    with depot.catalog.read() as conn:
        row = uploads.own(conn, actor, uid)
    uploads.require_alive(depot, row)
    if row.state == FINISHED:
        return uploads.finish(depot, actor, uid)[0]
    store, _ = _offered(depot)
    row, key = depot.catalog.write(lambda conn: _begin_attempt(conn, depot, actor, uid))
    size = store.arrived(row.key)
    if size is None:
        raise LengthMismatch(f"Nothing arrived of upload {ids.encode(Noun.UPLOAD, uid)}. Send it.", details=_NOTHING)
    if size != row.length:
        store.forget_arrival(row.key)
        raise LengthMismatch(
            f"{size} bytes arrived and {row.length} were announced. Send them again.", details=_NOTHING
        )
    try:
        store.take(row.key, key)
        digests = read_digests(depot, key)
    except NotFound as error:
        raise LengthMismatch("What had arrived is gone. Send it again.", details=_NOTHING) from error
    if digests.size != row.length or digests.sha256 != row.sha256:
        # Nobody but this call knows the key, so nobody names it, now or later.
        depot.store.delete(key)
        store.forget_arrival(row.key)
        assert row.sha256 is not None
        raise DigestMismatch(
            f"{sha256_text(row.sha256)} was announced, the bytes have {digests.sha256_text}. They were thrown away; "
            "send them again."
        )
    mine = replace(row, key=key)
    known = name_known(depot, mine, digests, None)
    if known is not None:
        depot.store.delete(key)
    named = (known or name_content(depot, mine, digests, None))[0]
    store.forget_arrival(row.key)
    return named


_NOTHING = {"offset": 0}


def _begin_attempt(conn: Connection, depot: Depot, actor: Actor, uid: UUID) -> tuple[UploadRow, str]:
    row = _waiting(conn, depot, actor, uid)
    taken = tuple(row.detail["taken"])
    if len(taken) >= _ATTEMPTS:
        raise Gone(f"Upload {ids.encode(Noun.UPLOAD, uid)} was tried {_ATTEMPTS} times. Begin another.")
    key = depot.new_key()
    detail = {**row.detail, "taken": [*taken, key]}
    rows.change(conn, row.n, {"detail": detail, **_more_time(depot, row)})
    return row, key
