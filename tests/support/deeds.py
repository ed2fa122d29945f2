"""What a use case of the permission matrix is: how somebody does it, and who may by which line of the table.

The judges are made of the lines in `tests.support.matrix`, not of the code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from entrepot.depot import (
    crates,
    direct,
    judging,
    packing,
    putting,
    slots,
    unpacking,
    uploads,
)
from entrepot.depot import records as records_
from entrepot.depot.putting import NewFile
from entrepot.depot.uploads import NewUpload
from entrepot.model.access import Action, Actor
from entrepot.model.errors import EntrepotError, Forbidden, Hidden, Invalid, NotFound, Unauthenticated, Unsupported
from entrepot.model.values import Role, Version, Visibility
from entrepot.wire import frames
from tests.support.matrix import (
    MEMBER,
    Cast,
    Row,
    Verdict_,
    W,
    allowed,
    is_staff,
    role_of,
    verdict,
    visible,
)

Judge: TypeAlias = Callable[[str, str, Visibility], Verdict_]


# What is done


@dataclass(frozen=True)
class Case:
    """A use case, the line of the table it falls under, and what it is done to.

    Args:
        act: Does it. Gets the cast, the actor and what `subject` made.
        row: The line; or a judge of its own, where more than one line counts.
        subject: Makes what it is done to, at a visibility.
        keeps: Doing it leaves the subject fit for the next.
    """

    act: Callable[[Cast, Actor, Any], Any]
    row: Row | Judge
    subject: Callable[[Cast, Visibility], Any] = Cast.version
    keeps: bool = False

    def expected(self, who: str, how: str, visibility: Visibility) -> Verdict_:
        if isinstance(self.row, Row):
            return verdict(self.row, who, how, visibility)
        return self.row(who, how, visibility)


def both(one: Row, other: Row) -> Judge:
    """Both lines must allow it."""
    return lambda who, how, seen: verdict(one, who, how, seen) or verdict(other, who, how, seen)


def of_project(row: Row) -> Judge:
    """A project is never public, whatever lies in it."""
    return lambda who, how, _seen: verdict(row, who, how, None)


def creating(who: str, how: str, _seen: Visibility) -> Verdict_:
    return verdict(W, who, how, None)


def anybody(writes: bool) -> Judge:
    """Whoever is logged in, with a token that writes if it is about writing."""

    def judge(who: str, how: str, _seen: Visibility) -> Verdict_:
        if who == "anonymous":
            return Unauthenticated
        return Forbidden if writes and how == "read" else None

    return judge


def as_invalid(row: Row) -> Judge:
    """Of many at once the refusal says which, not why: the request as a whole is wrong."""
    return lambda who, how, seen: None if allowed(row, who, how, seen) else Invalid


def as_missing(row: Row) -> Judge:
    """A look-up by a name: hidden is missing, class and all."""
    return lambda who, how, seen: None if allowed(row, who, how, seen) else NotFound


def consigning(who: str, how: str, seen: Visibility) -> Verdict_:
    """Bytes are announced: by whoever is logged in with a token that writes, and may make things in the project."""
    return anybody(True)(who, how, seen) or creating(who, how, seen)


def staff_alone(who: str, how: str, _seen: Visibility) -> Verdict_:
    if is_staff(who, how):
        return None
    return Unauthenticated if who == "anonymous" else Forbidden


def operators(who: str, how: str, _seen: Visibility) -> Verdict_:
    """Nobody else is told that it is there."""
    return None if is_staff(who, how) else Hidden


def task_seen(who: str, how: str, _seen: Visibility) -> Verdict_:
    return None if allowed(MEMBER, who, how, None) else NotFound


def task_cancelled(who: str, how: str, _seen: Visibility) -> Verdict_:
    if not allowed(MEMBER, who, how, None):
        return NotFound
    return None if allowed(W, who, how, None) else Forbidden


def made_project(who: str, how: str, _seen: Visibility) -> Verdict_:
    """In the team `lab`. The team is known to its members; a token limited to projects knows none."""
    if who == "anonymous":
        return Unauthenticated
    if is_staff(who, how):
        return None
    if role_of(who, how) is Role.NONE:
        return Hidden
    return None if role_of(who, how) >= Role.WRITE and how != "read" else Forbidden


def copied_away(row: Row) -> Judge:
    """To the actor's own project, in which everybody may write: what counts is the content of the source."""

    def judge(who: str, how: str, seen: Visibility) -> Verdict_:
        if who == "anonymous":
            return Hidden  # they own no project, and any other is hidden
        return verdict(row, who, how, seen) or (Forbidden if how == "read" else None)

    return judge


def from_ones_own(row: Row) -> Judge:
    """Into or from a version of one's own, which everybody may change: what counts is the other one."""

    def judge(who: str, how: str, seen: Visibility) -> Verdict_:
        if who == "anonymous":
            return Hidden
        return Forbidden if how == "read" else verdict(row, who, how, seen)

    return judge


def edge_seen(row: Row, *, seen_as: type[EntrepotError]) -> Judge:
    """To whom the source is hidden there is no edge."""

    def judge(who: str, how: str, seen: Visibility) -> Verdict_:
        if not visible(who, how, seen):
            return seen_as
        return verdict(row, who, how, seen)

    return judge


def of_version_in_project(who: str, how: str, seen: Visibility) -> Verdict_:
    """The log of a version is for members; who sees the record is told that it is there."""
    return verdict(MEMBER, who, how, seen)


def sources_own(cast: Cast, actor: Actor) -> int:
    return cast.mine(actor).n if actor.user is not None else 1


def put_whole(cast: Cast, actor: Actor, v: Version) -> None:
    putting_it = putting.put_file(cast.depot, actor, v.n, NewFile(cast.fresh("put").replace(" ", "-")))
    putting_it.write(b"put")
    putting_it.finish()


def put_archive(cast: Cast, actor: Actor, v: Version) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(cast.fresh("packed").replace(" ", "-"), b"put")
    putting_it = unpacking.put_archive(cast.depot, actor, v.n)
    putting_it.write(packed.getvalue())
    putting_it.finish()


def finish_upload(cast: Cast, actor: Actor) -> None:
    row = uploads.begin(cast.depot, actor, NewUpload(length=1))
    with uploads.receive(cast.depot, actor, row.uid, 0) as receiver:
        receiver.write(b"1")
    uploads.finish(cast.depot, actor, row.uid)


def put_batch(cast: Cast, actor: Actor, project: int | None = None) -> None:
    putting_it = packing.put_batch(cast.depot, actor, project=project)
    putting_it.write(frames.header("a", 1, hashlib.sha256(b"1").digest()) + b"1")
    putting_it.finish()


def begin_direct(cast: Cast, actor: Actor) -> None:
    # The judge comes first; that a store has no addresses is told to whoever may send at all.
    with contextlib.suppress(Unsupported):
        direct.begin(cast.depot, actor, NewUpload(length=1, sha256=hashlib.sha256(b"1").digest()))


def unpack_into(cast: Cast, actor: Actor, v: Version) -> None:
    crates.add(cast.depot, actor, v.n, finished_upload(cast, actor, v), name="x.zip")


def finished_upload(cast: Cast, actor: Actor, v: Version) -> UUID:
    """An upload of the actor's own; the id of none for whoever may not edit the version."""
    try:
        judging.on_version(cast.depot, actor, v.n, Action.EDIT)
        sink = putting.put_upload(cast.depot, actor, NewUpload(length=1))
    except EntrepotError:
        return UUID(int=0)
    sink.write(b"1")
    return sink.finish().uid


def put_upload(cast: Cast, actor: Actor) -> None:
    putting_it = putting.put_upload(cast.depot, actor, NewUpload(length=1))
    putting_it.write(b"1")
    putting_it.finish()


def fill_slot(cast: Cast, actor: Actor, it: tuple[Version, slots.Slot]) -> None:
    filling = slots.fill(cast.depot, actor, it[1].uid)
    filling.write(b"1\n")
    filling.finish()


def drop(pages: Any) -> None:
    """Read what a use case streams."""
    for _ in pages:
        pass


def open_pair(cast: Cast, actor: Actor, n: int) -> None:
    with records_.open_pair(cast.depot, actor, n, base_version=n):
        pass
