"""A batch as one change of a commit: all of its files, each at the path that its frame names.

What a commit needs to know of them is remembered by the process that received the batch. What is forgotten, or came to
another process, is read: names and digests from the end of the pack, types from the row of the upload. Of a pack that
may be written anew, because much of it is needed by nobody, the row has the names too. Of a batch with names that no
entry can have, the row has these and nothing else: it can never be put whole.

Here is also what a commit says of an upload that it cannot use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.entry_values import Put
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import lookup
from entrepot.depot.changes import AddBatch, Brought, Change, Fault
from entrepot.depot.context import Depot
from entrepot.depot.recognising import guess, read_heads
from entrepot.depot.uploads import BATCH, FINISHED
from entrepot.model import ids, names
from entrepot.model.access import Actor
from entrepot.model.digests import sha256_text
from entrepot.model.errors import Corrupt, InvalidName, NotFound
from entrepot.model.ids import Noun
from entrepot.wire import frames

__all__ = ["PackedFile", "detail", "looked_up", "no_batch", "of_upload", "paths_of"]

#: Wrong names of one batch that are told.
_WRONG: Final = 100
#: Letters of all paths of a batch that its row has at most. One with more may have to be sent again, once forgotten.
_LETTERS: Final = 1 << 20


class PackedFile(NamedTuple):
    """A file of a batch as it arrived."""

    name: str
    size: int
    sha256: bytes


def paths_of(given: Iterable[str]) -> tuple[list[str], list[Fault]]:
    """The entry paths that names are, and those that are none. Ends where enough of them are wrong."""
    paths: list[str] = []
    faults: list[Fault] = []
    for name in given:
        try:
            if len(name) > names.MAX_PATH_BYTES:
                # Before it is brought into its one form: that takes the square of a long row of accents.
                raise InvalidName(
                    f"The name {lookup.said(name)} is longer than the {names.MAX_PATH_BYTES:,} bytes of a path."
                )
            paths.append(names.entry_path(name))
        except InvalidName as error:
            text = str(error).replace("\0", "\N{REPLACEMENT CHARACTER}")
            faults.append({"path": lookup.said(name), "code": error.code, "detail": text})
            if len(faults) == _WRONG:
                break
    return paths, faults


def detail(
    files: Sequence[PackedFile],
    paths: Sequence[str],
    wrong: Sequence[Fault],
    types: Sequence[str | None],
    *,
    named: bool,
) -> Mapping[str, Any]:
    """What the row of a batch says of its files.

    Args:
        paths, wrong: As `paths_of` their names.
        types: What each of them was taken for.
        named: With paths and digests, unless they are very long.
    """
    if wrong:
        return {"wrong": wrong}
    places: dict[str, list[int]] = {}
    for place, kind in enumerate(types):
        if kind is not None:
            places.setdefault(kind, []).append(place)
    told: dict[str, Any] = {"types": places}
    if named and sum(map(len, paths)) <= _LETTERS:
        told["files"] = [(path, file.sha256.hex()) for path, file in zip(paths, files, strict=True)]
    return told


_Files: TypeAlias = tuple[Sequence[Put], Sequence[Fault]]
_NONE: Final[_Files] = (), ()


def looked_up(
    depot: Depot, actor: Actor, changes: Sequence[Change], require_few: Callable[[int], None]
) -> tuple[Sequence[Change], list[Fault]]:
    """The changes with the files of their batches, and what is wrong with those.

    Args:
        require_few: Raises where there are too many; asked before the next batch is looked at.
    """
    faults: list[Fault] = []
    uids = {change.upload for change in changes if isinstance(change, AddBatch)}
    if not uids:
        return changes, faults
    with depot.catalog.read() as conn:
        rows = upload_rows.find_many(conn, list(uids))
    batches: dict[UUID, _Files] = {}
    found: list[Change] = []
    number = len(changes)
    for index, change in enumerate(changes):
        if not isinstance(change, AddBatch):
            found.append(change)
            continue
        if change.upload not in batches:
            batches[change.upload] = _files(depot, actor, rows.get(change.upload))
        files, wrong = batches[change.upload]
        number += max(0, len(files) + len(wrong) - 1)
        require_few(number)
        found.append(Brought(change.upload, change.condition, files))
        faults += [{"index": index, **fault} for fault in wrong]
    return found, faults


def _files(depot: Depot, actor: Actor, row: UploadRow | None) -> _Files:
    """The files of a batch, each as a commit puts it; or what is wrong with it."""
    if row is None or row.owner != actor.user or row.purpose != BATCH or row.state != FINISHED:
        # Also if it is remembered: what nobody holds any more is not for anybody to look at.
        return _NONE
    known = depot.remembered.files(row.uid, actor.user)
    if known is not None:
        return known, ()
    with depot.catalog.read() as conn:
        told = upload_rows.batch_detail(conn, row.n)
    if "wrong" in told:
        return (), told["wrong"]
    named = _named(depot, row, told)
    with depot.catalog.read() as conn:
        members = upload_rows.members(conn, row.n)
        if not named or any(sha256 not in members for _, sha256 in named):
            gone = "cannot be told any more. Name them one by one with their digests, or send the batch again."
            text = f"The files of upload {ids.encode(Noun.UPLOAD, row.uid)} {gone}"
            return (), [{"code": "missing_content", "detail": text}]
        contents = [members[sha256] for _, sha256 in named]
        types = _types(depot, conn, told, [name for name, _ in named], contents)
    paths, faults = paths_of(name for name, _ in named)
    if faults:
        return (), faults
    return [Put(path, n, None, kind) for path, n, kind in zip(paths, contents, types, strict=True)], ()


def _named(depot: Depot, row: UploadRow, told: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Names and digests in the order they came in; none if nobody can tell them."""
    if "files" in told:
        return [(name, bytes.fromhex(digest)) for name, digest in told["files"]]
    try:
        with depot.store.open(row.key) as reader:
            found = frames.read_footer(reader.read_at, reader.size)
    except (NotFound, Corrupt):
        found = None
    return [(one.name, one.sha256) for one in found or ()]


def _types(
    depot: Depot, conn: Connection, told: Mapping[str, Any], paths: Sequence[str], contents: Sequence[int]
) -> Sequence[str | None]:
    if "types" in told:
        kinds = {place: kind for kind, places in told["types"].items() for place in places}
        return [kinds.get(place) for place in range(len(paths))]
    # From before types were written down.
    places = content_rows.first_places(conn, sorted(set(contents)))
    heads = dict(read_heads(depot, places))
    return [
        guess(depot, path, heads[n], places[n].size) if n in heads else None
        for path, n in zip(paths, contents, strict=True)
    ]


def no_batch(row: UploadRow | None, uid: UUID, actor: Actor) -> str:
    """Why there are no files of a batch."""
    name = ids.encode(Noun.UPLOAD, uid)
    if row is None or row.owner != actor.user or row.state == "aborted":
        return f"There is no upload {name}, or it is not yours."
    if row.purpose != BATCH:
        return f"Upload {name} is no batch. Put its content at a path of your choice with `add`."
    return f"Upload {name} is not complete. Send the rest first."


def of_upload(row: UploadRow, sha256: bytes | None) -> tuple[int | None, str]:
    """Which content of an upload is meant, beside those of finished batches; or None and why there is none."""
    content = row.content if sha256 in (None, row.content_sha256) else None
    if content is not None and row.state == FINISHED:
        return content, ""
    name = ids.encode(Noun.UPLOAD, row.uid)
    if row.state != FINISHED or (row.purpose != BATCH and row.content is None):
        return None, f"Upload {name} is not complete. Send the rest first."
    if row.purpose == BATCH and sha256 is None:
        return None, f"Upload {name} holds many files. Say with `sha256` which of them is meant."
    return None, f"Upload {name} did not bring {sha256_text(sha256 or b'')}. Send it."
