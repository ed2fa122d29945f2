"""What entries are taken for when they are committed and nobody says what they are.

Only the beginning of a content is looked at, before the transaction that names it. Whoever receives bytes keeps it as
they come (`Head`), and of the files of a batch what they were taken for is remembered until their commit; of any other
content that is here already it is read once more. A guess is never a reason to refuse anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final, TypeGuard
from uuid import UUID

from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.connection import Connection
from entrepot.catalog.contents import Place
from entrepot.datatypes.recognise import GLANCE
from entrepot.depot import lookup
from entrepot.depot.changes import Add, Change
from entrepot.depot.context import Depot
from entrepot.depot.remembered import Types, last_part
from entrepot.depot.uploads import BATCH
from entrepot.model.access import Actor
from entrepot.model.errors import EntrepotError
from entrepot.store.base import Block, ObjectReader

__all__ = ["HEAD", "Head", "contents_of", "guess", "guess_named", "guess_small", "read_heads", "with_types"]

#: Bytes that are looked at: enough for the header of every binary format, and for some lines of text.
HEAD: Final = 1 << 14


class Head:
    """The first bytes of what comes in blocks."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0

    def take(self, block: Block) -> None:
        if len(self._kept) < HEAD:
            self._kept += memoryview(block).cast("B")[: HEAD - len(self._kept)]
        self._size += len(block)

    def guess(self, depot: Depot, path: str) -> str | None:
        return guess(depot, path, bytes(self._kept), self._size)


def guess(depot: Depot, path: str, head: bytes, size: int) -> str | None:
    """The type of a file by its first bytes and its name.

    Args:
        size: Of the whole file: whether `head` is all of it.
    """
    return depot.types.recognise(path, head, whole=len(head) >= size).data_type


def guess_small(depot: Depot, name: str, body: memoryview) -> str | None:
    """The same of a whole file in memory, of which no more is copied than has to be looked at."""
    found = depot.types.recognise_binary(name, bytes(body[:GLANCE]))
    return guess(depot, name, bytes(body[:HEAD]), len(body)) if found is None else found.data_type


def guess_named(conn: Connection, depot: Depot, path: str, content: int) -> str | None:
    """The type of a content that this transaction names; for a file or two, because its beginning is read here."""
    places = content_rows.first_places(conn, [content])
    head = dict(read_heads(depot, places)).get(content)
    return None if head is None else guess(depot, path, head, places[content].size)


def with_types(depot: Depot, actor: Actor, changes: Sequence[Change]) -> list[Change]:
    """The changes, with a type for every addition that has none. What cannot be read is left as it is."""
    out = list(changes)
    latest: UUID | None = None
    types: Types = {}
    unknown: list[tuple[int, Add]] = []
    for i, one in enumerate(changes):
        if not _is_unnamed(one):
            continue
        if one.upload is not None and one.sha256 is not None:
            if one.upload is not latest:
                latest = one.upload
                types = depot.remembered.of(latest, actor.user)
            key = one.sha256, last_part(one.path)
            if key in types:
                data_type = types[key]
                if data_type is not None:
                    out[i] = one._replace(data_type=data_type)
                continue
        unknown.append((i, one))
    if unknown:
        found = _looked_at(depot, actor, [one for _, one in unknown])
        for i, one in unknown:
            data_type = found.get((one.upload, one.sha256, one.path))
            if data_type is not None:
                out[i] = one._replace(data_type=data_type)
    return out


def _looked_at(
    depot: Depot, actor: Actor, wanted: Sequence[Add]
) -> dict[tuple[UUID | None, bytes | None, str], str | None]:
    """By upload, digest and path, the types of what is read for it."""
    with depot.catalog.read() as conn:
        contents = contents_of(conn, actor, wanted)
        places = content_rows.first_places(conn, sorted(set(contents.values())))
    heads = dict(read_heads(depot, places))
    found: dict[tuple[UUID | None, bytes | None, str], str | None] = {}
    for one in wanted:
        content = contents.get((one.upload, one.sha256))
        if content is not None and content in heads:
            data_type = guess(depot, one.path, heads[content], places[content].size)
            found[one.upload, one.sha256, one.path] = data_type
    return found


def contents_of(conn: Connection, actor: Actor, wanted: Sequence[Add]) -> dict[tuple[UUID | None, bytes | None], int]:
    """Which content each addition means, by the upload and the digest that it names."""
    uploads = upload_rows.find_many(conn, list({one.upload for one in wanted if one.upload is not None}))
    mine = {uid: row for uid, row in uploads.items() if row.owner == actor.user}
    members = {uid: upload_rows.members(conn, row.n) for uid, row in mine.items() if row.purpose == BATCH}
    bare = list({one.sha256 for one in wanted if one.upload is None and one.sha256 is not None})
    known = content_rows.find_many(conn, bare) if bare else {}
    # What the caller may not read is not looked at: even how long that takes would tell them that it is here.
    allowed = content_rows.readable_many(conn, list(known.values()), lookup.sight(actor, content=True))
    found: dict[tuple[UUID | None, bytes | None], int] = {}
    for one in wanted:
        content = None
        if one.upload in members:
            content = members[one.upload].get(one.sha256 or b"")
        elif one.upload in mine:
            content = mine[one.upload].content
        elif one.upload is None and one.sha256 is not None:
            content = known.get(one.sha256)
            content = content if content in allowed else None
        if content is not None:
            found[one.upload, one.sha256] = content
    return found


def _is_unnamed(change: Change) -> TypeGuard[Add]:
    """Whether it adds bytes and does not say what they are; what comes from another entry brings its type along."""
    return isinstance(change, Add) and change.data_type is None and change.source is None


def read_heads(depot: Depot, places: Mapping[int, Place], most: int = HEAD) -> Iterator[tuple[int, bytes]]:
    """The first bytes of contents, of those that can be read, with their numbers.

    Args:
        most: Bytes of each.
    """
    with ExitStack() as opened:
        key, reader = "", None
        # In order of where they lie: the members of a pack are read from one open object.
        for content, place in sorted(places.items(), key=lambda pair: (pair[1].key, pair[1].offset)):
            if place.size == 0:
                yield content, b""
                continue
            try:
                if place.key != key or reader is None:
                    if reader is not None:
                        reader.close()
                        reader = None
                    reader = _open(depot, place.key)
                    opened.callback(reader.close)
                    key = place.key
                head = reader.read_at(place.offset, min(most, place.length))
            except EntrepotError:
                continue
            yield content, head


def _open(depot: Depot, key: str) -> ObjectReader:
    return depot.store.open(key)
