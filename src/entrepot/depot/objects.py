"""Signed links to bytes: one narrow right in a URL, for clients that can show nothing else.

A link is a narrowing of its issuer's right, not a right of its own. At use the issuer is loaded and the judge asked
again, with no more than the issuer's credential carried when the link was made. So revoking the token, leaving the
team, deactivating the node that was acted for or purging the version ends every link at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from entrepot.depot import consignments, credentials, entries, exports, lookup, slots, tables
from entrepot.depot.consignments import Arrival
from entrepot.depot.context import Depot
from entrepot.depot.entries import Opened
from entrepot.depot.exports import Export, Format
from entrepot.depot.slots import Filling, Slot
from entrepot.depot.tables import Exported
from entrepot.model.access import Action, Actor
from entrepot.model.errors import BadSignature, EntryNotFound, Forbidden, Gone, Hidden, NotFound, Unauthenticated
from entrepot.wire import signing
from entrepot.wire.signing import Grant


@dataclass(frozen=True, slots=True)
class Link:
    """A path below the server's address, good until `expires_at`."""

    path: str
    method: Literal["GET", "PUT"]
    expires_at: datetime


def sign_entry(
    depot: Depot,
    actor: Actor,
    key: lookup.Key,
    path: str,
    *,
    revision: int | None = None,
    expires_in: timedelta | None = None,
) -> Link:
    """A link to one entry, pinned to a revision."""
    version, wanted, entry = entries.get(depot, actor, key, path, revision=revision)
    target = {"v": version.uid.hex, "r": wanted, "p": entry.position}
    return _sign(depot, actor, "GET", target, entry.path.rpartition("/")[2], expires_in)


def sign_listed(depot: Depot, actor: Actor, version: UUID, revision: int, position: int, name: str) -> Link:
    """As `sign_entry`, for an entry that the caller has just listed: no second look-up. The judge is asked at use."""
    return _sign(depot, actor, "GET", {"v": version.hex, "r": revision, "p": position}, name, None)


def sign_entries(
    depot: Depot, actor: Actor, version: UUID, revision: int, wanted: Sequence[tuple[int, str]]
) -> list[Link]:
    """As `sign_listed`, for positions and names in this order; a thousand at once."""
    issuer = credentials.issuer_of(depot, actor)
    made = [({"v": version.hex, "r": revision, "p": position}, name) for position, name in wanted]
    return [_signed(depot, issuer, "GET", target, name, None) for target, name in made]


def sign_table(depot: Depot, actor: Actor, version: UUID, revision: int, *, format: tables.Format, name: str) -> Link:
    """A link to all rows of a table in another form than its files have. The judge is asked at use."""
    return _sign(depot, actor, "GET", {"v": version.hex, "r": revision, "t": format}, name, None)


def sign_export(
    depot: Depot,
    actor: Actor,
    key: lookup.Key,
    *,
    format: Format = "zip",
    revision: int | None = None,
    prefix: str | None = None,
    expires_in: timedelta | None = None,
) -> Link:
    """A link to the whole revision, or to the folder `prefix` of it, as an archive."""
    folder = entries.folder_of(prefix)
    with depot.catalog.read() as conn:
        found, wanted = entries.pin(conn, actor, key, revision, action=Action.READ_CONTENT)
    version = found.version
    target: dict[str, Any] = {"v": version.uid.hex, "r": wanted, "x": format}
    if folder is not None:
        target["d"] = folder
    return _sign(depot, actor, "GET", target, exports.file_name(version, format), expires_in)


def sign_slot(depot: Depot, actor: Actor, slot: Slot) -> Link:
    """A link that fills one slot; it ends with the slot's own time."""
    left = slot.url_expires_at - depot.now()
    return _sign(depot, actor, "PUT", slots.put_link(slot), None, left)


def sign_slots(depot: Depot, actor: Actor, wanted: Sequence[Slot]) -> list[Link]:
    """As `sign_slot`, in this order; a thousand at once."""
    issuer, now = credentials.issuer_of(depot, actor), depot.now()
    return [_signed(depot, issuer, "PUT", slots.put_link(one), None, one.url_expires_at - now) for one in wanted]


def sign_consigned(depot: Depot, actor: Actor, uids: Sequence[UUID]) -> list[Link]:
    """Links that fill files of a consignment, or pieces of one, in this order; thousands at once."""
    issuer = credentials.issuer_of(depot, actor)
    return [_signed(depot, issuer, "PUT", consignments.put_link(uid), None, None) for uid in uids]


def _sign(
    depot: Depot,
    actor: Actor,
    method: Literal["GET", "PUT"],
    target: Mapping[str, Any],
    name: str | None,
    expires_in: timedelta | None,
) -> Link:
    return _signed(depot, credentials.issuer_of(depot, actor), method, target, name, expires_in)


def _signed(
    depot: Depot,
    issuer: Mapping[str, Any],
    method: Literal["GET", "PUT"],
    target: Mapping[str, Any],
    name: str | None,
    expires_in: timedelta | None,
) -> Link:
    most = depot.policy.signed_url_lifetime
    lifetime = most if expires_in is None else min(expires_in, most)
    expires = (depot.now() + max(lifetime, timedelta(seconds=1))).replace(microsecond=0)
    grant = Grant(method=method, target=target, issuer=issuer, expires_at=expires)
    return Link(signing.sign(depot.secret, grant, name), method, expires)


def _use(depot: Depot, path: str, method: str, door: str) -> tuple[Grant, Actor]:
    grant = signing.verify(depot.secret, path, method, depot.now())
    try:
        return grant, credentials.of_issuer(depot, grant.issuer, door=door)
    except Unauthenticated as gone:
        raise BadSignature("Whoever made this link may no longer use it. Ask for a new one.") from gone


def open_link(depot: Depot, path: str, *, door: str = "objects") -> Opened | Export | Exported:
    """What a GET link leads to.

    Args:
        path: Everything from `/objects/` on, as it stands on the wire.

    Raises:
        BadSignature: It was changed, is out of date, or its issuer may no longer read this.
    """
    grant, actor = _use(depot, path, "GET", door)
    target = grant.target
    try:
        version, revision = UUID(target["v"]), int(target["r"])
        if "x" in target:
            return exports.export(depot, actor, version, format=target["x"], revision=revision, prefix=target.get("d"))
        if "t" in target:
            return tables.export(depot, actor, version, format=target["t"], revision=revision)
        return entries.open_entry(depot, actor, version, position=int(target["p"]), revision=revision)
    except (Hidden, Unauthenticated, Forbidden) as refused:
        raise BadSignature("Whoever made this link may no longer read this. Ask for a new one.") from refused
    except (NotFound, EntryNotFound) as missing:
        raise Gone("What this link led to was purged.") from missing


def fill_link(depot: Depot, path: str, *, door: str = "objects", length: int | None = None) -> Filling | Arrival:
    """Begin the PUT that a link allows.

    Args:
        length: How many bytes will come, if that is known.
    """
    grant, actor = _use(depot, path, "PUT", door)
    target = grant.target
    try:
        if "c" in target:
            return consignments.fill(depot, actor, UUID(target["c"]))
        return slots.fill(depot, actor, UUID(target["s"]), length=length)
    except (Hidden, Unauthenticated, Forbidden) as refused:
        raise BadSignature("Whoever made this link may no longer write here. Ask for a new one.") from refused
