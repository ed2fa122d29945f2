"""The way out and back: trash, reinstate, purge.

One state with a reason. Bytes stay and count against the allocation until the purge; by default nothing leaves the
trash by itself, because an archive promises to bring back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import projects as project_rows
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.versions import Found
from entrepot.depot import lines, lookup, search
from entrepot.depot.context import Depot
from entrepot.depot.events import tell
from entrepot.depot.lookup import Key
from entrepot.depot.versions import again
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Forbidden, Invalid, NotFound, Trashed, Unauthenticated
from entrepot.model.ids import Noun
from entrepot.model.values import Numbering, Version

#: The reason of what went by itself; some doors go on showing that.
EXPIRED = "expired"


def trash(depot: Depot, actor: Actor, key: Key, *, reason: str = "deleted") -> Version:
    """Put the version in the trash: hidden from lists, its name and number free, its bytes kept. Repeatable.

    Whoever may write there; a proposal that was not accepted also by whoever proposed it, as long as they may read.
    """
    now = depot.now()
    clean = _reason(reason)

    def work(conn: Connection) -> Version:
        found = lookup.hold(conn, actor, key, Action.VIEW_RECORD)
        lookup.judge(actor, Action.WITHDRAW if is_own_proposal(actor, found.version) else Action.TRASH, found)
        return trash_in(conn, actor, found.version, clean, now)

    return depot.catalog.write(work)


def is_own_proposal(actor: Actor, version: Version) -> bool:
    """Whether the actor made it as a proposal and nobody has accepted it."""
    return version.is_proposal and actor.user is not None and version.creator == actor.user


def _reason(reason: str) -> str:
    return names.text(reason, max_length=500, field="Reason") or "deleted"


def trash_many(depot: Depot, actor: Actor, keys: Sequence[Key], *, reason: str) -> list[Version]:
    """All or none.

    Raises:
        Invalid: Some do not exist for the caller or may not be touched; `errors` names each.
    """
    now = depot.now()
    clean = _reason(reason)

    def work(conn: Connection) -> list[Version]:
        found = _all_of(conn, actor, keys, Action.TRASH)
        return [trash_in(conn, actor, again(conn, actor, one.version.n), clean, now) for one in found]

    return depot.catalog.write(work)


def _all_of(conn: Connection, actor: Actor, keys: Sequence[Key], action: Action) -> list[Found]:
    """All the versions, held, in the order of the keys; one that is named twice comes twice."""
    found: list[Found] = []
    bad: list[dict[str, Any]] = []
    for key in keys:
        try:
            found.append(lookup.version(conn, actor, key, action))
        except (NotFound, Forbidden, Unauthenticated) as error:
            bad.append({"id": lookup.name_of(key), "detail": str(error)})
    if bad:
        raise Invalid(f"{len(bad)} of {len(keys)} versions cannot be used; nothing was changed.", errors=bad)
    before = {one.version.n: one.version for one in found}
    if action is Action.REINSTATE:
        project_rows.hold_names(conn, [one.project for one in before.values()])
    for n in sorted(before):
        rows.hold(conn, n)
        # Somebody may have purged or moved it before it was held.
        lookup.require_still(before[n], lookup.version(conn, actor, n, action).version)
    return found


def trash_in(conn: Connection, actor: Actor, version: Version, reason: str, now: datetime) -> Version:
    """`trash` inside the caller's transaction, who holds the version; running ingests are cancelled, slots closed."""
    if version.trash is not None:
        if version.trash.reason != EXPIRED or reason == EXPIRED:
            return version
        return _deleted_after(conn, actor, version, reason, now)
    rows.trash_many(conn, [version.n], at=now, by=actor.user, reason=reason)
    failed = lines.stop_work(conn, version.n, now)
    search.remove(conn, version.n)
    if failed is not None:
        tell(conn, actor, "version.failed", version, now, detail={"stage": failed.value})
    tell(conn, actor, "version.trashed", version, now, detail={"reason": reason})
    return again(conn, actor, version.n)


def _deleted_after(conn: Connection, actor: Actor, version: Version, reason: str, now: datetime) -> Version:
    """It expired by itself, and whoever is still shown it deletes it now; it has been in the trash all along."""
    rows.change(conn, version.n, {"trash_reason": reason, "trashed_by": actor.user, "updated_at": now}, edited=False)
    tell(conn, actor, "version.trashed", version, now, before={"reason": EXPIRED}, detail={"reason": reason})
    return again(conn, actor, version.n)


def reinstate(depot: Depot, actor: Actor, key: Key, *, numbering: Numbering = Numbering.KEEP_ELSE_NEXT) -> Version:
    """Bring a version back from the trash, under its number or, if the rule says so, the next one.

    Raises:
        NameTaken: The number or the alias belongs to another active version by now and the rule is `keep`.
        Trashed: Its project is in the trash.
    """
    now = depot.now()

    def work(conn: Connection) -> Version:
        version = lookup.hold_named(conn, actor, key, Action.REINSTATE).version
        return reinstate_in(conn, actor, version, numbering, now)

    return depot.catalog.write(work)


def reinstate_many(
    depot: Depot, actor: Actor, keys: Sequence[Key], *, numbering: Numbering = Numbering.NEXT
) -> list[Version]:
    """All or none, as `trash_many`."""
    now = depot.now()

    def work(conn: Connection) -> list[Version]:
        found = _all_of(conn, actor, keys, Action.REINSTATE)
        return [reinstate_in(conn, actor, again(conn, actor, one.version.n), numbering, now) for one in found]

    return depot.catalog.write(work)


def reinstate_in(conn: Connection, actor: Actor, version: Version, numbering: Numbering, now: datetime) -> Version:
    """`reinstate` inside the caller's transaction, who holds the version and the names of its project."""
    if version.trash is None:
        return version
    if version.project_trashed:
        raise Trashed(f"Project {version.project_slug} is deleted; reinstate it first.")
    line = rows.find_dataset(conn, n=version.dataset)
    assert line is not None
    values: dict[str, Any] = {"trashed_at": None, "trashed_by": None, "trash_reason": None, "updated_at": now}
    if version.number is not None:
        rule = numbering
        if rule is Numbering.NEXT:
            # Coming back is not a reason for another number while the old one is free.
            rule = Numbering.KEEP_ELSE_NEXT
        values["number"] = lines.number_for(conn, line, rule, ready=True, keep=version.number, but=version.n)
    if version.alias is not None and rows.alias_taken(conn, version.project, version.alias, but=version.n):
        values["alias"] = None
    if version.expires_at is not None and version.expires_at <= now:
        values["expires_at"] = None
    rows.change(conn, version.n, values, edited=False)
    after = again(conn, actor, version.n)
    search.write(conn, after)
    tell(
        conn,
        actor,
        "version.reinstated",
        after,
        now,
        before={"number": version.number, "alias": version.alias},
        after={"number": after.number, "alias": after.alias},
    )
    return after


def purge(depot: Depot, actor: Actor, key: Key) -> Version:
    """Remove a version for good; answers its last record. Its edges keep a tombstone, its events stay.

    Versions that share its entries keep them. Bytes go when nothing refers to them any more, after the grace time.
    """
    now = depot.now()

    def work(conn: Connection) -> Version:
        version = lookup.hold_named(conn, actor, key, Action.PURGE).version
        purge_in(conn, actor, version, now)
        return version

    return depot.catalog.write(work)


def purge_in(conn: Connection, actor: Actor, version: Version, now: datetime) -> None:
    """`purge` inside the caller's transaction, who holds the version and the names of its project."""
    lines.stop_work(conn, version.n, now)
    lines.entomb(conn, version)
    entry_rows.purge(conn, version.n)
    lines.forget(conn, version, now)
    search.remove(conn, version.n)
    rows.delete_row(conn, version.n)
    lines.close_if_empty(conn, version)
    tell(
        conn,
        actor,
        "version.purged",
        version,
        now,
        before={"name": version.name, "number": version.number, "id": ids.encode(Noun.VERSION, version.uid)},
    )
