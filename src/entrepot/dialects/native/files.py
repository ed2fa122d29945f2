"""Files of a version by their path: read, write and delete in one request each."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import Receive, Send

from entrepot.depot import direct, entries, putting
from entrepot.depot.context import Depot
from entrepot.depot.direct import Elsewhere
from entrepot.depot.entries import Committed, Condition, Remove
from entrepot.depot.putting import FilePut, NewFile
from entrepot.dialects.native import decode, encode, written
from entrepot.dialects.native.bodies import receive_whole
from entrepot.dialects.native.context import Asked, Message
from entrepot.dialects.native.digest_fields import announced_sha256
from entrepot.dialects.native.query import Parameters
from entrepot.http import conditional
from entrepot.http.downloads import send_elsewhere, send_entry
from entrepot.http.fields import content_length, field
from entrepot.model.access import Actor
from entrepot.model.errors import Malformed
from entrepot.model.values import Entry

#: What a client sends that says nothing about the type.
_UNTYPED = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})


async def get(asking: Asked, found: Mapping[str, str], receive: Receive, send: Send) -> None:
    """The bytes of an entry: whole, by ranges, or only their head."""
    key, path, parameters = decode.version(found["version"]), found["path"], Parameters(asking.scope)
    revision = parameters.revision("revision")
    if parameters.flag("direct") and not _conditional(asking) and asking.scope["method"] == "GET":
        found_at = await asking.call(lambda depot, actor: direct.open_entry(depot, actor, key, path, revision=revision))
        if isinstance(found_at, Elsewhere):
            await send_elsewhere(asking.scope, receive, send, found_at)
        else:
            await send_entry(asking.scope, receive, send, found_at, executor=asking.context.executor)
        return
    opened = await asking.call(lambda depot, actor: entries.open_entry(depot, actor, key, path, revision=revision))
    await send_entry(asking.scope, receive, send, opened, executor=asking.context.executor)


async def put(asking: Asked, found: Mapping[str, str], receive: Receive, send: Send) -> None:
    """The body becomes the entry: one revision, or none if it is there already. 201 when the path is new, else 200."""
    scope, parameters = asking.scope, Parameters(asking.scope)
    if field(scope, b"content-range") is not None:
        raise Malformed("A file is written as a whole: Content-Range has no meaning here. Use an upload for parts.")
    key = decode.version(found["version"])
    typed = (field(scope, b"content-type") or "").strip()
    new = NewFile(
        path=found["path"],
        length=content_length(scope),
        sha256=announced_sha256(scope),
        media_type=None if typed.lower() in _UNTYPED else typed,
        data_type=parameters.text("data_type"),
        metadata=parameters.text("metadata"),
        condition=_condition(asking),
        expected=parameters.revision("expected"),
        message=parameters.text("message") or "",
        once=True,
    )

    def begin(depot: Depot, actor: Actor) -> FilePut:
        return putting.put_file(depot, actor, key, new, check=lambda entry: _require(asking, entry))

    def finish(sink: FilePut) -> Message:
        done, created = sink.finish()
        return Message(encode.committed(done, sink.role), 201 if created else 200)

    response = await receive_whole(asking, receive, begin, finish)
    await response(scope, receive, send)


async def delete(asking: Asked, found: Mapping[str, str], receive: Receive, send: Send) -> None:
    """Take an entry away: one revision."""
    key, path, parameters = decode.version(found["version"]), found["path"], Parameters(asking.scope)
    recursive, expected = parameters.flag("recursive"), parameters.revision("expected")
    message = parameters.text("message") or ""

    def work(depot: Depot, actor: Actor) -> Message:
        if _conditional(asking):
            version, revision, entry = entries.get(depot, actor, key, path)
            _require(asking, entry)
            # Nobody may come between the look and the change.
            seen = expected if expected is not None else revision
            return _answer(
                depot,
                actor,
                entries.commit(depot, actor, version.n, [Remove(path, recursive)], expected=seen, message=message),
            )
        done = entries.commit(depot, actor, key, [Remove(path, recursive)], expected=expected, message=message)
        return _answer(depot, actor, done)

    response = await asking.call(work)
    await response(asking.scope, receive, send)


def _answer(depot: Depot, actor: Actor, done: Committed) -> Message:
    return Message(written.committed(depot, actor, done))


def _conditional(asking: Asked) -> bool:
    return "if-match" in asking.headers or "if-none-match" in asking.headers


def _condition(asking: Asked) -> Condition:
    """The condition of the commit itself, which holds even when two requests come at once."""
    if (asking.headers.get("if-none-match") or "").strip() == "*":
        return "absent"
    return "present" if "if-match" in asking.headers else "any"


def _require(asking: Asked, entry: Entry | None) -> None:
    """The request's conditions against what is there now.

    Raises:
        PreconditionFailed
    """
    if entry is None:
        conditional.require(asking.scope, etag=None, exists=False)
    else:
        conditional.require(asking.scope, etag=conditional.sha256_etag(entry.sha256))
