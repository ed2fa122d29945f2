"""Restartable uploads: tus 1.0 with all its extensions but trailers and unfinished concatenation.

    OPTIONS                        what this server can do
    POST    /uploads               creation, creation-with-upload, creation-defer-length, concatenation
    HEAD    /uploads/up_…          where to go on
    PATCH   /uploads/up_…          bytes at an offset; the last byte finishes the upload
    DELETE  /uploads/up_…          termination

What is ours: `Upload-Metadata` may hold `filename`, `filetype`, `project`, `sha256` and `crc32c`. Digests announced
there are compared when the last byte is here; a mismatch is answered like that of a chunk (460) and starts the upload
anew. The request that brings the last byte is answered when the content is durable and named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from entrepot.depot import putting, uploads
from entrepot.depot.context import Depot
from entrepot.depot.putting import ALGORITHMS, Chunk
from entrepot.depot.uploads import FINISHED, NewUpload, UploadRow
from entrepot.dialects.native import decode, errors
from entrepot.dialects.native.context import DOOR, Asked, Context
from entrepot.dialects.native.routing import PREFIX
from entrepot.dialects.native.tus_fields import (
    Concatenation,
    parse_checksum,
    parse_concat,
    parse_metadata,
    parse_number,
    text_of,
)
from entrepot.http.body import pump
from entrepot.http.conditional import http_date
from entrepot.http.doors import ErrorBoundary, send_answer
from entrepot.http.errors import Answer, ErrorTable
from entrepot.http.fields import content_length, field
from entrepot.http.threads import in_thread
from entrepot.model import ids
from entrepot.model.access import Actor
from entrepot.model.digests import parse_crc32c_base64, parse_sha256
from entrepot.model.errors import (
    DigestMismatch,
    Forbidden,
    LengthMismatch,
    Malformed,
    OffsetMismatch,
    PreconditionFailed,
    Unsupported,
)
from entrepot.model.ids import Noun
from entrepot.wire import problem

VERSION: Final = "1.0.0"
EXTENSIONS: Final = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "termination",
    "concatenation",
)
MEDIA_TYPE: Final = "application/offset+octet-stream"
CHECKSUM_MISMATCH: Final = 460

#: As everywhere at this door, but for what the protocol itself has a status for.
TABLE: Final = ErrorTable({**problem.STATUS, DigestMismatch: CHECKSUM_MISMATCH, LengthMismatch: 413})

#: Under which names an upload's `detail` keeps what HEAD has to give back as it came.
_METADATA, _CONCAT = "tus.metadata", "tus.concat"

Call = Callable[[Asked, str, Receive, Send], Awaitable[None]]


class Tus:
    """The protocol at /api/v1/uploads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._guarded = ErrorBoundary(self._serve, name=DOOR, table=TABLE, encode=errors.encode)
        self._at_root: Mapping[str, Call] = {"POST": self._create}
        self._at_upload: Mapping[str, Call] = {
            "HEAD": self._head,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def versioned(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(b"tus-resumable", VERSION.encode())]
                if message["status"] == 412:
                    extra.append((b"tus-version", VERSION.encode()))
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        # Clients whose environment lacks PATCH or DELETE say the method in a field, which goes before the real one.
        instead = field(scope, b"x-http-method-override")
        if instead is not None:
            scope = {**scope, "method": instead.strip().upper()}
        await self._guarded(scope, receive, versioned)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].removeprefix(f"{PREFIX}/uploads").removeprefix("/")
        calls = self._at_upload if name else self._at_root
        if scope["method"] == "OPTIONS":
            await self._options(send)
            return
        call = calls.get(scope["method"])
        if call is None:
            also = ("GET", "OPTIONS") if name else ("GET", "OPTIONS", "PUT")
            raise HTTPException(405, headers={"allow": ", ".join(sorted({*calls, *also}))})
        spoken = field(scope, b"tus-resumable")
        if spoken != VERSION:
            raise PreconditionFailed(
                f"This server speaks tus {VERSION}; the request says {spoken[:40] if spoken else 'nothing'}. "
                f"Send `Tus-Resumable: {VERSION}`."
            )
        await call(Asked(self._context, scope), name, receive, send)

    async def _options(self, send: Send) -> None:
        headers = {
            "tus-version": VERSION,
            "tus-extension": ",".join(EXTENSIONS),
            "tus-checksum-algorithm": ",".join(ALGORITHMS),
        }
        limit = self._context.depot.limits.upload_size
        if limit is not None:
            headers["tus-max-size"] = str(limit)
        await send_answer(send, Answer(204, headers=headers))

    # Creation

    async def _create(self, asking: Asked, _name: str, receive: Receive, send: Send) -> None:
        scope = asking.scope
        metadata = field(scope, b"upload-metadata")
        concat = parse_concat(field(scope, b"upload-concat"))
        length = _length(scope, concat)
        body = _has_body(scope)
        if body:
            _require_media_type(scope)
        if concat is not None and concat.parts is not None:
            if body:
                raise Malformed("A final upload is made of its parts and takes no bytes of its own.")
            row = await self._concatenate(asking, concat, metadata)
        else:
            announced = parse_checksum(field(scope, b"upload-checksum"))
            new = _new_upload(metadata, length, concat)
            row = await asking.call(lambda depot, actor: _begin(depot, actor, new))
            if body:
                row = await self._receive(
                    asking,
                    receive,
                    lambda depot, actor: putting.receive_chunk(depot, actor, row.uid, 0, announced=announced),
                )
        name = ids.encode(Noun.UPLOAD, row.uid)
        headers = {"location": f"{PREFIX}/uploads/{name}", "upload-offset": str(row.received), **_expiry(row)}
        await send_answer(send, Answer(201, headers=headers))

    async def _concatenate(self, asking: Asked, concat: Concatenation, metadata: str | None) -> UploadRow:
        def work(depot: Depot, actor: Actor) -> UploadRow:
            parts = [ids.decode(Noun.UPLOAD, name) for name in concat.parts or ()]
            length = 0
            for part in parts:
                length += uploads.get(depot, actor, part).received
            return uploads.concatenate(depot, actor, parts, _new_upload(metadata, length, concat))

        return await asking.call(work)

    # What there is

    async def _head(self, asking: Asked, name: str, _receive: Receive, send: Send) -> None:
        uid = ids.decode(Noun.UPLOAD, name)
        row = await asking.call(lambda depot, actor: uploads.get(depot, actor, uid))
        headers = {"upload-offset": str(row.received), "cache-control": "no-store", **_expiry(row)}
        length = row.content_size if row.state == FINISHED else row.length
        if length is None:
            headers["upload-defer-length"] = "1"
        else:
            headers["upload-length"] = str(length)
        for name_of_field, kept in (("upload-metadata", _METADATA), ("upload-concat", _CONCAT)):
            if row.detail.get(kept):
                headers[name_of_field] = row.detail[kept]
        await send_answer(send, Answer(200, headers=headers))

    # Bytes

    async def _patch(self, asking: Asked, name: str, receive: Receive, send: Send) -> None:
        scope, uid = asking.scope, ids.decode(Noun.UPLOAD, name)
        _require_media_type(scope)
        offset = parse_number("Upload-Offset", field(scope, b"upload-offset"))
        if offset is None:
            raise Malformed("A PATCH says in Upload-Offset where its bytes begin.")
        told = parse_number("Upload-Length", field(scope, b"upload-length"))
        announced = parse_checksum(field(scope, b"upload-checksum"))
        coming = content_length(scope)

        def begin(depot: Depot, actor: Actor) -> Chunk | UploadRow:
            row = uploads.get(depot, actor, uid)
            if str(row.detail.get(_CONCAT, "")).startswith("final"):
                raise Forbidden("A final upload is made of its parts and cannot be changed.")
            if told is not None:
                row = uploads.declare_length(depot, actor, uid, told)
            if row.received != offset:
                raise OffsetMismatch(
                    f"Upload {name} is at offset {row.received}, not {offset}. Resume from {row.received}.",
                    details={"offset": row.received},
                )
            if row.length is not None and coming is not None and offset + coming > row.length:
                raise LengthMismatch(
                    f"The upload was announced with {row.length} bytes; this would make it {offset + coming}.",
                    details={"offset": offset, "length": row.length},
                )
            if row.state == FINISHED:
                return row
            if row.received == row.length:
                # All bytes are here, and a crash or a lost connection came before they were named.
                return uploads.finish(depot, actor, uid)[0]
            return putting.receive_chunk(depot, actor, uid, offset, announced=announced)

        row = await self._receive(asking, receive, begin)
        await send_answer(send, Answer(204, headers={"upload-offset": str(row.received), **_expiry(row)}))

    async def _receive(
        self, asking: Asked, receive: Receive, begin: Callable[[Depot, Actor], Chunk | UploadRow]
    ) -> UploadRow:
        """Take the body of a request. What arrived before a client left is kept, unless a digest came with it."""
        executor = asking.context.executor
        chunk = await asking.call(begin)
        if isinstance(chunk, UploadRow):
            return chunk
        try:
            await pump(receive, chunk.write, executor=executor)
            return await in_thread(executor, _settle, chunk)
        except BaseException:
            await in_thread(executor, chunk.close)
            raise

    # The end

    async def _delete(self, asking: Asked, name: str, _receive: Receive, send: Send) -> None:
        uid = ids.decode(Noun.UPLOAD, name)
        await asking.call(lambda depot, actor: uploads.abort(depot, actor, uid))
        await send_answer(send, Answer(204))


def _settle(chunk: Chunk) -> UploadRow:
    offset = chunk.settle()
    if offset == chunk.row.length:
        return chunk.finish()
    chunk.close()
    return chunk.row_at(offset)


def _begin(depot: Depot, actor: Actor, new: NewUpload) -> UploadRow:
    row = uploads.begin(depot, actor, new)
    return uploads.finish(depot, actor, row.uid)[0] if new.length == 0 else row


def _length(scope: Scope, concat: Concatenation | None) -> int | None:
    """The length that a creation announces; None when it comes later or from the parts."""
    length = parse_number("Upload-Length", field(scope, b"upload-length"))
    defer = field(scope, b"upload-defer-length")
    if defer is not None and defer.strip() != "1":
        raise Malformed("Upload-Defer-Length is 1 or not there.")
    if concat is not None and concat.parts is not None:
        if length is not None or defer is not None:
            raise Malformed("The length of a final upload is that of its parts together; do not send Upload-Length.")
        return None
    if (length is None) == (defer is None):
        raise Malformed("A creation has either Upload-Length or `Upload-Defer-Length: 1`.")
    return length


def _has_body(scope: Scope) -> bool:
    length = content_length(scope)
    return length > 0 if length is not None else field(scope, b"transfer-encoding") is not None


def _require_media_type(scope: Scope) -> None:
    said = (field(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if said != MEDIA_TYPE:
        raise Unsupported(f"Bytes of an upload come as `Content-Type: {MEDIA_TYPE}`.")


def _new_upload(metadata: str | None, length: int | None, concat: Concatenation | None) -> NewUpload:
    known = parse_metadata(metadata)
    sha256, crc32c = text_of(known, "sha256"), text_of(known, "crc32c")
    detail = {}
    if metadata is not None and metadata.strip():
        detail[_METADATA] = metadata.strip()
    if concat is not None:
        detail[_CONCAT] = concat.text
    return NewUpload(
        length=length,
        sha256=None if sha256 is None else parse_sha256(sha256, bare=True),
        crc32c=None if crc32c is None else parse_crc32c_base64(crc32c),
        file_name=text_of(known, "filename"),
        media_type=text_of(known, "filetype"),
        project=decode.optional_project(text_of(known, "project")),
        purpose="part" if concat is not None and concat.parts is None else "content",
        detail=detail,
    )


def _expiry(row: UploadRow) -> dict[str, str]:
    return {"upload-expires": http_date(row.expires_at)}
