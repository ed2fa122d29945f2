"""Slots: named places of a version that is not ready, each waiting for one file by a signed PUT.

A PUT is received whole into an upload of its own and becomes the slot's content in one transaction at its last byte:
a cut transfer leaves nothing, and of two that come at once each is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from entrepot.catalog import projects as project_rows
from entrepot.catalog import uploads as rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import ingests, lines, lookup, uploads
from entrepot.depot.arriving import OnePut, attempt
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.depot.projects import default_in
from entrepot.depot.table_changes import finished_of
from entrepot.depot.uploads import ABORTED, FINISHED, OPEN
from entrepot.depot.versions import NewVersion, again, create_in
from entrepot.model import ids, names
from entrepot.model.access import Action, Actor
from entrepot.model.errors import (
    EntrepotError,
    Gone,
    Invalid,
    NotFound,
    PreconditionFailed,
    TooLarge,
    WrongState,
)
from entrepot.model.ids import Noun
from entrepot.model.values import Kind, State, Version


@dataclass(frozen=True, slots=True)
class NewSlot:
    """One file that will come.

    Args:
        file_name: None calls it after its version: the slug and `suffix`.
        length: Announced bytes, compared; None is not announced.
        crc32c: Likewise.
        once: A second PUT is refused; otherwise it replaces the first until the ingest starts.
        starts: The last byte starts the ingest by itself.
        upload: A finished upload of the caller's own that the slot is filled with at once.
    """

    file_name: str | None
    length: int | None = None
    crc32c: int | None = None
    once: bool = False
    starts: bool = False
    suffix: str = ""
    upload: UUID | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot as its owners see it. `size` and `sha256` are those of what was put, once something was."""

    uid: UUID
    version: int
    file_name: str
    length: int | None
    crc32c: int | None
    once: bool
    starts: bool
    full: bool
    size: int | None
    sha256: bytes | None
    url_expires_at: datetime


def _slot(row: UploadRow) -> Slot:
    assert row.version is not None
    return Slot(
        uid=row.uid,
        version=row.version,
        file_name=row.file_name or "",
        length=row.length,
        crc32c=row.crc32c,
        once=bool(row.detail.get("once")),
        starts=bool(row.detail.get("starts")),
        full=row.state == FINISHED,
        size=row.content_size,
        sha256=row.content_sha256,
        url_expires_at=row.expires_at,
    )


def create(
    depot: Depot,
    actor: Actor,
    project: Key | str | None,
    new: NewVersion,
    wanted: Sequence[NewSlot],
    *,
    again_within: timedelta | None = None,
) -> tuple[Version, list[Slot]]:
    """A version and its slots, all or nothing.

    Args:
        again_within: For clients that repeat a request whose answer was lost, without a key to know it by: the same
            version of one slot, asked for again with the same token, is answered as it is while it is younger than
            this and no byte came.

    Raises:
        Invalid: No slot, two of one name, or a name that is no file name; `errors` tells each.
            An upload that is not there, not the caller's, or not complete.
        QuotaExceeded: The project has no room for what was announced.
    """
    _check(depot, new, wanted)
    now = depot.now()

    def work(conn: Connection) -> tuple[Version, list[Slot]]:
        if again_within is not None and len(wanted) == 1:
            known = _asked_before(conn, actor, project, new, wanted[0], now - again_within)
            if known is not None:
                return known, [_slot(row) for row in rows.of_version(conn, known.n, "slot")]
        version = create_in(conn, depot, actor, project, new, now)
        given = [None if slot.upload is None else finished_of(conn, actor, slot.upload) for slot in wanted]
        made = [
            {
                **uploads.fresh(depot, actor, now, depot.policy.slot_lifetime),
                "state": OPEN if filled is None else FINISHED,
                "content": None if filled is None else filled[0],
                "length": slot.length,
                "crc32c": slot.crc32c,
                "file_name": _file_name(slot, version.slug),
                "project": version.project,
                "version": version.n,
                "purpose": "slot",
                "detail": {"once": slot.once, "starts": slot.starts},
            }
            for slot, filled in zip(wanted, given, strict=True)
        ]
        rows.insert_uploads(conn, made)
        home = project_rows.find(conn, user=None, n=version.project)
        if home is not None:
            # Before anybody sends them: bytes that have no room are refused again when they are published.
            sizes = [filled[1] if filled else slot.length or 0 for slot, filled in zip(wanted, given, strict=True)]
            lines.room_for(conn, home[0], sum(sizes))
        if any(given):
            version_rows.change(conn, version.n, {"state": State.RECEIVING.value}, edited=False)
            version = again(conn, actor, version.n)
        return version, [_slot(row) for row in rows.of_version(conn, version.n, "slot")]

    return depot.catalog.write(work)


def _asked_before(
    conn: Connection, actor: Actor, project: Key | str | None, new: NewVersion, slot: NewSlot, since: datetime
) -> Version | None:
    """The version that an equal request made a moment ago, if it still waits for its file.

    The names of the project are held from here on, so of two such requests at once the second one finds the first.
    """
    if actor.token is None:
        return None
    home = lookup.hold_project(
        conn, actor, default_in(conn, actor).n if project is None else project, Action.CREATE
    ).project
    n = rows.waiting_twin(
        conn,
        token=actor.token,
        project=home.n,
        name=names.dataset_name(new.name),
        kind=new.kind.value,
        length=slot.length,
        crc32c=slot.crc32c,
        since=since,
    )
    return None if n is None else again(conn, actor, n)


def _check(depot: Depot, new: NewVersion, wanted: Sequence[NewSlot]) -> None:
    if new.kind is Kind.FILES and not new.awaits_content:
        raise Invalid("A version of kind files takes its content by commits; slots belong to table and records.")
    if not wanted:
        raise Invalid("Name at least one file to come.")
    if len(wanted) > depot.limits.slots_per_version:
        raise TooLarge(f"A version may have {depot.limits.slots_per_version} slots, not {len(wanted)}.")
    faults: list[dict[str, Any]] = []
    seen: set[str] = set()
    for i, slot in enumerate(wanted):
        try:
            clean = _file_name(slot, "slug")
            uploads.check_announced(depot, slot.length, None, slot.crc32c)
        except (Invalid, TooLarge) as error:
            faults.append({"index": i, "file_name": lookup.said(slot.file_name), "detail": str(error)})
            continue
        if clean in seen:
            faults.append({"index": i, "file_name": clean, "detail": f"{clean!r} is named twice."})
        seen.add(clean)
    if faults:
        raise Invalid(f"Nothing was made: {faults[0]['detail']}", errors=faults)


def _file_name(slot: NewSlot, slug: str) -> str:
    if slot.file_name is not None:
        return names.file_name(slot.file_name)
    return names.file_name(slug.removesuffix(slot.suffix) + slot.suffix)


def list_slots(depot: Depot, actor: Actor, key: Key) -> tuple[Version, list[Slot]]:
    """The slots of a version, in the order they were named; for those who may write."""
    with depot.catalog.read() as conn:
        version = lookup.version(conn, actor, key, Action.EDIT).version
        return version, [_slot(row) for row in rows.of_version(conn, version.n, "slot")]


def renew(depot: Depot, actor: Actor, key: Key) -> tuple[Version, list[Slot]]:
    """As `list_slots`, giving each slot that still takes a file another full lifetime: fresh URLs were asked for."""
    now = depot.now()

    def work(conn: Connection) -> tuple[Version, list[Slot]]:
        version = lookup.hold(conn, actor, key, Action.EDIT).version
        found = rows.of_version(conn, version.n, "slot")
        for row in found:
            if row.state == OPEN or (row.state == FINISHED and not row.detail.get("once")):
                rows.change(conn, row.n, {"expires_at": now + depot.policy.slot_lifetime})
        return version, [_slot(row) for row in rows.of_version(conn, version.n, "slot")]

    return depot.catalog.write(work)


class Filling(OnePut):
    """A PUT into a slot under way."""

    def finish(self) -> Slot:
        """Check the bytes and make them the slot's content; the last one may start the ingest.

        Raises:
            LengthMismatch, DigestMismatch: They are not what was announced. A slot that takes one PUT only and starts
                by itself has had its PUT: nobody is going to say that another one is coming, so the version fails.
        """
        slot, depot, actor = self._row, self._depot, self._actor
        done = self._finish(lambda conn, content: _fill(conn, depot, actor, slot, content))
        assert isinstance(done, Slot)
        return done

    def _refuse(self, wrong: EntrepotError) -> None:
        """Fail the version that waits for this one PUT, unless another one was whole meanwhile."""
        slot, depot, actor = self._row, self._depot, self._actor
        if not (slot.detail.get("once") and slot.detail.get("starts")) or slot.version is None:
            return
        n, now = slot.version, depot.now()
        why = wrong.details.get("mismatch", wrong.message.removesuffix("."))
        report = {"message": f"The file did not arrive as it was announced: {why}.", "missing": [slot.file_name]}

        def work(conn: Connection) -> None:
            version_rows.hold(conn, n)
            found = version_rows.find(conn, asking=actor.user, n=n)
            current = rows.find(conn, n=slot.n)
            if found is None or current is None or current.state != OPEN or found.version.trash is not None:
                return
            if found.version.state in (State.EMPTY, State.RECEIVING):
                ingests.fail_transfer(conn, depot, actor, found.version, report, now)

        depot.catalog.write(work)


def fill(depot: Depot, actor: Actor, uid: UUID, *, length: int | None = None) -> Filling:
    """Begin a PUT into a slot.

    Args:
        length: How many bytes will come, if that is known: slots of some doors are made without it.

    Raises:
        QuotaExceeded: The project has no room for so many.
        PreconditionFailed: It is full and takes one PUT only.
        WrongState: The ingest has started.
    """
    now = depot.now()

    def work(conn: Connection) -> tuple[UploadRow, UploadRow]:
        slot = rows.find(conn, uid=uid)
        if slot is None or slot.version is None or slot.purpose != "slot":
            raise NotFound("This slot is gone.")
        version = _open_for(conn, actor, slot)
        put = attempt(conn, depot, actor, slot)
        if version.state is State.EMPTY:
            version_rows.change(conn, slot.version, {"state": State.RECEIVING.value, "updated_at": now}, edited=False)
        home = None if length is None else project_rows.find(conn, user=None, n=version.project)
        if home is not None:
            lines.room_for(conn, home[0], length or 0)
        return slot, put

    slot, put = depot.catalog.write(work)
    return Filling(depot, actor, slot, uploads.receive(depot, actor, put.uid, 0, whole=True))


def _open_for(conn: Connection, actor: Actor, slot: UploadRow) -> Version:
    """The slot's version, held, if the slot takes a file now."""
    assert slot.version is not None
    version = lookup.editable(lookup.hold(conn, actor, slot.version, Action.EDIT, named="version of this slot"))
    if slot.state == FINISHED and slot.detail.get("once"):
        raise PreconditionFailed("This slot has its file already and takes only one.")
    if version.state not in (State.EMPTY, State.RECEIVING):
        raise WrongState(f"The content of {version.name} is {version.state}; it takes no more files.")
    if slot.state == ABORTED:
        raise Gone("This slot was closed.")
    return version


def _fill(conn: Connection, depot: Depot, actor: Actor, slot: UploadRow, content: int) -> Slot:
    version_rows.hold(conn, slot.version or 0)
    current = rows.find(conn, n=slot.n)
    if current is None or current.version is None:
        raise Gone("This slot is gone.")
    _open_for(conn, actor, current)
    rows.change(conn, slot.n, {"state": FINISHED, "content": content, "touched_at": depot.now()})
    if slot.detail.get("starts"):
        ingests.start_in(conn, depot, actor, slot.version or 0, depot.now())
    fresh = rows.find(conn, n=slot.n)
    assert fresh is not None
    return _slot(fresh)


def put_link(slot: Slot) -> dict[str, Any]:
    """What a signed PUT URL of this slot names."""
    return {"s": slot.uid.hex}


def name_of(slot: Slot) -> str:
    return ids.encode(Noun.UPLOAD, slot.uid)
