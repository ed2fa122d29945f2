"""The way out and back: trash, reinstate, purge.

One state with a reason. Bytes stay and count against the allocation until the purge; by default nothing leaves the
trash by itself, because an archive promises to bring back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from entrepot.catalog import entries as entry_rows
from entrepot.catalog import many
from entrepot.catalog import versions as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.events import NewEvent
from entrepot.depot import lines, lookup, search
from entrepot.depot.context import Depot
from entrepot.depot.events import tell, tell_all, telling, trashed
from entrepot.depot.lookup import Key
from entrepot.depot.versions import again
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import Trashed
from entrepot.model.ids import Noun
from entrepot.model.values import Numbering, Version

#: More at once are a transaction of their own.
_FEW = 200

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
    """All or none, in one transaction of as many statements for a thousand as for ten.

    Raises:
        Invalid: Some do not exist for the caller or may not be touched; `errors` names each.
    """
    now = depot.now()
    clean = _reason(reason)

    def work(conn: Connection) -> list[Version]:
        found = [one.version for one in lookup.hold_versions(conn, actor, keys, Action.TRASH, named=False)]
        _trash(conn, actor, found, clean, now)
        return _again(conn, actor, found)

    return depot.catalog.write(work, bulk=len(keys) > _FEW)


def _again(conn: Connection, actor: Actor, versions: Sequence[Version]) -> list[Version]:
    """As they are now, in the same order."""
    now = rows.find_all(conn, list({one.n for one in versions}), asking=actor.user)
    return [now[one.n].version for one in versions]


def trash_in(conn: Connection, actor: Actor, version: Version, reason: str, now: datetime) -> Version:
    """`trash` inside the caller's transaction, who holds the version; running ingests are cancelled, slots closed."""
    _trash(conn, actor, [version], reason, now)
    return again(conn, actor, version.n)


def _trash(conn: Connection, actor: Actor, versions: Sequence[Version], reason: str, now: datetime) -> None:
    """Put those that are not there yet in the trash; the caller holds all. One may come twice."""
    each = {one.n: one for one in versions}.values()
    fresh = [one for one in each if one.trash is None]
    # They expired by themselves, and whoever is still shown them deletes them now; they were in the trash all along.
    late = [one for one in each if one.trash is not None and one.trash.reason == EXPIRED and reason != EXPIRED]
    told: list[NewEvent] = []
    if fresh:
        numbers = [one.n for one in fresh]
        many.trash(conn, numbers, at=now, by=actor.user, reason=reason)
        failed = lines.stop_work(conn, numbers, now)
        search.remove(conn, numbers)
        for one in fresh:
            where = {"project": one.project, "dataset": one.dataset, "version": one.n}
            told += trashed(actor, now, **where, reason=reason, failed=failed.get(one.n))
    if late:
        many.give_reason(conn, [one.n for one in late], at=now, by=actor.user, reason=reason)
        before, detail = {"reason": EXPIRED}, {"reason": reason}
        told += [telling(actor, "version.trashed", one, now, before=before, detail=detail) for one in late]
    tell_all(conn, told)


def reinstate(depot: Depot, actor: Actor, key: Key, *, numbering: Numbering = Numbering.KEEP_ELSE_NEXT) -> Version:
    """Bring a version back from the trash, under its number or, if the rule says so, the next one.

    Raises:
        NameTaken: The number or the alias belongs to another active version by now and the rule is `keep`.
        Trashed: Its project is in the trash.
    """
    now = depot.now()

    def work(conn: Connection) -> Version:
        version = lookup.hold_named(conn, actor, key, Action.REINSTATE).version
        (back,) = _bring_back(conn, depot, actor, [version], numbering, now)
        return back

    return depot.catalog.write(work)


def reinstate_many(
    depot: Depot, actor: Actor, keys: Sequence[Key], *, numbering: Numbering = Numbering.NEXT
) -> list[Version]:
    """All or none, one after the other by their numbers; as `trash_many`.

    Raises:
        Invalid, NameTaken, Trashed
    """
    now = depot.now()

    def work(conn: Connection) -> list[Version]:
        found = [one.version for one in lookup.hold_versions(conn, actor, keys, Action.REINSTATE, named=True)]
        return _bring_back(conn, depot, actor, found, numbering, now)

    return depot.catalog.write(work, bulk=len(keys) > _FEW)


def _bring_back(
    conn: Connection, depot: Depot, actor: Actor, versions: Sequence[Version], rule: Numbering, now: datetime
) -> list[Version]:
    """All as they are then; those that are in the trash come back. One may come twice.

    The caller holds them and the names of their projects.
    """
    back = list({one.n: one for one in versions if one.trash is not None}.values())
    gone = next((one for one in back if one.project_trashed), None)
    if gone is not None:
        raise Trashed(f"Project {gone.project_slug} is deleted; reinstate it first.")
    if not back:
        return list(versions)
    changed = _changed_by_return(conn, back, rule, now)
    many.change_each(conn, changed)
    many.bring_back(conn, [one.n for one in back], at=now)
    after = _again(conn, actor, back)
    search.write_all(conn, depot, after)
    told = [
        telling(actor, "version.reinstated", is_now, now, before=_names(was), after=_names(is_now))
        for was, is_now in zip(back, after, strict=True)
    ]
    tell_all(conn, told)
    known = {one.n: one for one in after}
    return [known.get(one.n, one) for one in versions]


def _names(version: Version) -> dict[str, Any]:
    return {"number": version.number, "alias": version.alias}


def _changed_by_return(
    conn: Connection, back: Sequence[Version], rule: Numbering, now: datetime
) -> list[dict[str, Any]]:
    """Number, alias and end of each that does not come back with those it had."""
    numbers = lines.numbers_back(conn, back, rule)
    taken = many.aliases_taken(conn, [one.n for one in back if one.alias is not None])
    given: set[tuple[int, str]] = set()
    changed: list[dict[str, Any]] = []
    for one in back:
        alias = one.alias
        if alias is not None:
            alias = None if one.n in taken or (one.project, alias) in given else alias
            given |= set() if alias is None else {(one.project, alias)}
        over = one.expires_at is not None and one.expires_at <= now
        values = {"number": numbers[one.n], "alias": alias, "expires_at": None if over else one.expires_at}
        if any(getattr(one, name) != value for name, value in values.items()):
            changed.append({"n": one.n, **values})
    return changed


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
    lines.stop_work(conn, [version.n], now)
    lines.entomb(conn, version)
    entry_rows.purge(conn, version.n)
    lines.forget(conn, version, now)
    search.remove(conn, [version.n])
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
