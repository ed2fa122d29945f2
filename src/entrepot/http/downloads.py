"""What the depot opened, as an answer: an entry of a version, an archive of many, a table in another form."""

from __future__ import annotations

import mimetypes
from collections.abc import Generator
from concurrent.futures import Executor

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrepot.depot.direct import Elsewhere
from entrepot.depot.entries import Opened
from entrepot.depot.exports import Export
from entrepot.depot.tables import MEDIA_TYPES, Exported
from entrepot.http.content import Representation, send_content, send_stream
from entrepot.http.disposition import disposition
from entrepot.model import ids
from entrepot.model.digests import sha256_base64
from entrepot.model.ids import Noun
from entrepot.model.values import Entry, Version

__all__ = ["media_type_of", "send_elsewhere", "send_entry", "send_export", "send_table"]


def media_type_of(entry: Entry) -> str:
    """The type that was given, or what the name suggests."""
    return entry.media_type or mimetypes.guess_type(entry.path, strict=False)[0] or "application/octet-stream"


def _pinned(version: Version, revision: int) -> tuple[tuple[str, str], ...]:
    """What the bytes are of, so that a client which asked for the newest knows what it got."""
    return (("entrepot-version", ids.encode(Noun.VERSION, version.uid)), ("entrepot-revision", str(revision)))


async def send_entry(
    scope: Scope, receive: Receive, send: Send, opened: Opened, *, executor: Executor | None = None
) -> None:
    """Answer with the bytes of an entry: whole, by ranges, or only their head. Its reader is closed."""
    entry = opened.entry
    representation = Representation(
        media_type=media_type_of(entry),
        sha256=entry.sha256,
        disposition=disposition("attachment", entry.path),
        headers=_pinned(opened.version, opened.revision),
    )
    await send_content(scope, receive, send, opened.reader, entry.size, representation, executor=executor)


async def send_elsewhere(scope: Scope, receive: Receive, send: Send, found: Elsewhere) -> None:
    """Send whoever asked to where the bytes are. Nobody may remember it: the address is a secret, and soon over."""
    headers = {
        "location": found.url,
        "repr-digest": f"sha-256=:{sha256_base64(found.entry.sha256)}:",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        **dict(_pinned(found.version, found.revision)),
    }
    await Response(status_code=307, headers=headers)(scope, receive, send)


async def send_export(
    scope: Scope,
    receive: Receive,
    send: Send,
    made: Export,
    *,
    shown: Representation | None = None,
    accept_ranges: bool = True,
    executor: Executor | None = None,
) -> None:
    """Answer with an archive. zip and tar have a size and ranges; tar.gz is made while it is sent.

    Args:
        shown: What the head says, for doors with a type and names of their own.
        accept_ranges: False for doors whose clients were never told of ranges.
    """
    representation = shown or Representation(
        media_type=made.media_type,
        etag=made.etag,
        last_modified=made.modified_at,
        disposition=disposition("attachment", made.file_name),
        headers=_pinned(made.version, made.revision),
    )
    if made.size is None:
        await send_stream(scope, receive, send, made.read(), representation, executor=executor)
    else:
        source = _ExportSource(made, made.size)
        await send_content(
            scope, receive, send, source, made.size, representation, accept_ranges=accept_ranges, executor=executor
        )


async def send_table(
    scope: Scope, receive: Receive, send: Send, made: Exported, *, executor: Executor | None = None
) -> None:
    """Answer with all rows of a table in another form, which is made while it is sent."""
    representation = Representation(
        media_type=MEDIA_TYPES[made.format],
        disposition=disposition("attachment", made.file_name),
        headers=_pinned(made.version, made.revision),
    )
    await send_stream(scope, receive, send, made.blocks, representation, executor=executor)


class _ExportSource:
    """An archive read at offsets. Reads that follow each other go on with one pass over its members."""

    def __init__(self, made: Export, size: int) -> None:
        self._made = made
        self._size = size
        self._at = -1
        self._blocks: Generator[bytes, None, None] | None = None
        self._rest = b""

    def read_at(self, offset: int, length: int) -> bytes:
        if self._blocks is None or offset != self._at:
            self.close()
            self._blocks, self._rest, self._at = self._made.read(offset, self._size), b"", offset
        parts, missing = [], min(length, self._size - offset)
        while missing > 0:
            block = self._rest or next(self._blocks, b"")
            if not block:
                break
            parts.append(block[:missing])
            self._rest = block[missing:]
            missing -= len(parts[-1])
        found = b"".join(parts)
        self._at += len(found)
        return found

    def close(self) -> None:
        if self._blocks is not None:
            self._blocks.close()
            self._blocks = None
