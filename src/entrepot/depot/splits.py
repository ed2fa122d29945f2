"""Large files of a consignment, in pieces that come in any order and are joined when all are here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from entrepot.catalog import tasks as task_rows
from entrepot.catalog import uploads as rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.uploads import UploadRow
from entrepot.catalog.work import Work
from entrepot.depot import asking, lookup, uploads
from entrepot.depot.consigned import (
    PIECE_OF,
    SPLIT,
    WHOLE,
    Coming,
    Split,
    members,
    own,
    require_writing,
    room_for_more,
    split_of,
    still_wanted,
)
from entrepot.depot.consignments import fill
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.finishing import ABORTED, OPEN
from entrepot.model.access import Actor
from entrepot.model.errors import Invalid, LengthMismatch, NotFound, WrongState
from entrepot.model.values import Scope, Task, TaskState

__all__ = ["abort", "begin", "get", "join", "run"]

JOB = "join"
QUEUE = "joins"
#: Bytes that are joined while somebody waits; more is a task.
AT_ONCE = 64 << 20

#: Pieces of one file, and the size that they are cut for.
MOST_PIECES, PIECE = 1_000, 64 << 20


def _silent(_done: int, _total: int) -> None:
    """Nobody wants to know how far it is."""


def get(depot: Depot, actor: Actor, uid: UUID) -> Split:
    """A large file of the caller's own, with its pieces."""
    with depot.catalog.read() as conn:
        return split_of(conn, own(conn, depot, actor, uid, SPLIT))


def begin(depot: Depot, actor: Actor, uid: UUID, path: str, length: int) -> Split:
    """Let a file of a consignment come in pieces. Asking again begins anew beside it.

    Args:
        path: Of the file, or its last segment where that says which.

    Raises:
        NotFound: The consignment has no such file.
        LengthMismatch: It was announced with another length.
        WrongState: It has arrived, or was cancelled.
    """
    user, now, lifetime = lookup.person(actor), depot.now(), depot.policy.upload_lifetime

    def work(conn: Connection) -> Split:
        whole = own(conn, depot, actor, uid, WHOLE)
        file = _named(members(conn, whole, "files"), path)
        if file.state != OPEN or whole.state != OPEN:
            raise WrongState(f"{file.file_name} has arrived already, or was cancelled.")
        if file.length != length:
            raise LengthMismatch(f"{file.file_name} was announced with {file.length} bytes, not {length}.")
        still_wanted(conn, actor, file)
        sizes = _pieces(length)
        room_for_more(conn, depot, user, len(sizes) + 1)
        made = [
            {
                **uploads.fresh(depot, actor, now, lifetime),
                "length": size,
                "project": whole.project,
                "purpose": PIECE_OF,
                "detail": {"version": file.detail["version"]},
            }
            for size in sizes
        ]
        rows.insert_uploads(conn, made)
        # What is sent in pieces takes longer than the addresses of whole files last.
        for row in (whole, file):
            rows.change(conn, row.n, {"expires_at": now + lifetime})
        head = uploads.insert(
            conn,
            depot,
            actor,
            now=now,
            lifetime=lifetime,
            project=whole.project,
            purpose=SPLIT,
            detail={"file": [file.uid.hex], "pieces": [one["uid"].hex for one in made]},
        )
        return split_of(conn, head)

    return depot.catalog.write(work)


def _named(files: Sequence[UploadRow], path: str) -> UploadRow:
    found = [one for one in files if one.file_name == path]
    found = found or [one for one in files if (one.file_name or "").rpartition("/")[2] == path]
    if len(found) != 1:
        raise NotFound(f"This session has no file {lookup.said(path)!r}.")
    return found[0]


def _pieces(length: int) -> list[int]:
    """All of one length, and what remains to the last: so the client cuts it, by nothing but how many there are."""
    count = max(1, min(MOST_PIECES, -(-length // PIECE)))
    each = length // count
    return [*[each] * (count - 1), length - each * (count - 1)]


def join(depot: Depot, actor: Actor, uid: UUID) -> tuple[Split, Task | None]:
    """Make the file of its pieces: written once more, as one, and checked. Repeating it is a success.

    A large file is a task of the worker's, which is answered beside it until the file has arrived; asking again answers
    the same task, or a new one where that failed.

    Raises:
        Invalid: Pieces are missing; `errors` names them.
        TooLarge: The caller has too many tasks that wait or run.
    """
    user = lookup.person(actor)

    def work(conn: Connection) -> tuple[Split, Task | None]:
        head, found = _whole(conn, depot, actor, uid)
        if found.file.state is Coming.ARRIVED or found.file.length <= AT_ONCE:
            return found, None
        version = members(conn, head, "file")[0].detail["version"]
        still_wanted(conn, actor, members(conn, head, "file")[0])
        asked = {
            "version": version,
            "split": uid.hex,
            "user": user,
            "token": actor.token,
            "node": actor.node,
            "door": actor.door,
        }
        for task in task_rows.alike(conn, JOB, asked, version=version, starter=user):
            if task.state in (TaskState.READY, TaskState.RUNNING):
                return found, task
        task = asking.begin(conn, depot, JOB, asked, on=QUEUE, starter=user, project=head.project, version=version)
        return found, task

    found, task = depot.catalog.write(work)
    if task is None and found.file.state is not Coming.ARRIVED:
        _join(depot, actor, uid)
        found = get(depot, actor, uid)
    return found, task


def run(depot: Depot, work: Work) -> None:
    """Join the pieces of a large file, as whoever asked for it. A job handler."""
    asked = work.payload
    actor = Actor(user=asked["user"], token=asked["token"], node=asked["node"], door=asked["door"], scope=Scope.WRITE)
    done = _join(depot, actor, UUID(hex=asked["split"]), work.progress)
    work.finish(lambda _conn: {"path": done.file.path, "size": done.file.length})


def _whole(conn: Connection, depot: Depot, actor: Actor, uid: UUID) -> tuple[UploadRow, Split]:
    """The large file, if all its pieces are here or it is."""
    head = own(conn, depot, actor, uid, SPLIT)
    found = split_of(conn, head)
    if found.file.state is not Coming.ARRIVED:
        missing = [one.number for one in found.pieces if not one.arrived]
        if missing or head.state != OPEN:
            raise Invalid(
                f"{len(missing)} of {len(found.pieces)} pieces are missing, the first is {missing[:1] or 'ended'}.",
                errors=[{"piece": number, "detail": "not uploaded"} for number in missing],
            )
    return head, found


def _join(depot: Depot, actor: Actor, uid: UUID, progress: Callable[[int, int], None] = _silent) -> Split:
    with depot.catalog.read() as conn:
        head, found = _whole(conn, depot, actor, uid)
        pieces = members(conn, head, "pieces")
    if found.file.state is Coming.ARRIVED:
        return found
    arrival = fill(depot, actor, found.file.uid)
    done = 0
    try:
        for piece in pieces:
            assert piece.content is not None
            with open_content(depot, piece.content) as reader:
                for block in uploads.blocks_of(reader.read_at, 0, reader.size):
                    progress(done, found.file.length)
                    arrival.write(block)
                    done += len(block)
        arrival.finish()
    except BaseException:
        arrival.close()
        raise
    _end_split(depot, head, pieces)
    with depot.catalog.read() as conn:
        return split_of(conn, own(conn, depot, actor, uid, SPLIT))


def abort(depot: Depot, actor: Actor, uid: UUID) -> None:
    """Let go of the pieces. Repeating it is a success."""
    with depot.catalog.read() as conn:
        head = own(conn, depot, actor, uid, SPLIT)
        pieces = members(conn, head, "pieces")
    require_writing(actor)
    _end_split(depot, head, pieces)


def _end_split(depot: Depot, head: UploadRow, pieces: Sequence[UploadRow]) -> None:
    """Nothing holds the bytes of the pieces from here on."""
    over: Mapping[str, Any] = {"state": ABORTED, "content": None, "touched_at": depot.now()}

    def work(conn: Connection) -> None:
        rows.change(conn, head.n, {"state": ABORTED, "touched_at": depot.now()})
        rows.end_many(conn, [one.n for one in pieces], over, whole=True)

    depot.catalog.write(work)
