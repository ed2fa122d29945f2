"""Signed links: `GET` and `PUT` of bytes at /objects/…, with no other credentials.

The link is taken as it stands on the wire, before any percent-decoding, with its query: every character is signed.
Answers to a bad `GET` have a status and no body, because some clients write whatever body they get into the file they
were asked for. Answers to a bad `PUT` say the same message under the two names that clients look for.
"""

from __future__ import annotations

import json
from concurrent.futures import Executor

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.depot import objects
from entrepot.depot.consignments import Arrival, Consigned
from entrepot.depot.context import Depot
from entrepot.depot.entries import Opened
from entrepot.depot.slots import Filling, Slot
from entrepot.depot.tables import Exported
from entrepot.http.body import pump
from entrepot.http.conditional import sha256_etag
from entrepot.http.doors import ErrorBoundary, send_answer
from entrepot.http.downloads import send_entry, send_export, send_table
from entrepot.http.errors import Answer, ErrorTable, Failure
from entrepot.http.fields import content_length, field
from entrepot.http.multipart import is_multipart, unwrap_file
from entrepot.http.threads import in_thread
from entrepot.model.errors import DigestMismatch, LengthMismatch, Unsupported
from entrepot.wire import problem

__all__ = ["objects_app"]

DOOR = "objects"
#: Stores of bytes answer 400 to bytes that are not the announced ones, and clients were written for that.
TABLE = ErrorTable(problem.STATUS, {DigestMismatch: 400, LengthMismatch: 400})


def objects_app(depot: Depot, executor: Executor) -> ASGIApp:
    """The routes below /objects/."""
    return ErrorBoundary(_Objects(depot, executor), name=DOOR, table=TABLE, encode=encode)


def encode(failure: Failure) -> Answer:
    """No body for who reads; for who writes a message under both names."""
    if failure.method != "PUT":
        return Answer(failure.status)
    said = failure.error.message
    body = json.dumps({"message": said, "error": {"message": said, "code": failure.error.code}}).encode()
    return Answer(failure.status, body, "application/json")


class _Objects:
    def __init__(self, depot: Depot, executor: Executor) -> None:
        self._depot = depot
        self._executor = executor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method in ("GET", "HEAD"):
            await self._get(scope, receive, send)
        elif method == "PUT":
            await self._put(scope, receive, send)
        else:
            raise HTTPException(405, headers={"allow": "GET, HEAD, PUT"})

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = await in_thread(self._executor, objects.open_link, self._depot, _link(scope))
        if isinstance(found, Opened):
            await send_entry(scope, receive, send, found, executor=self._executor)
        elif isinstance(found, Exported):
            await send_table(scope, receive, send, found, executor=self._executor)
        else:
            await send_export(scope, receive, send, found, executor=self._executor)

    async def _put(self, scope: Scope, receive: Receive, send: Send) -> None:
        encoding = (field(scope, b"content-encoding") or "identity").strip().lower()
        if encoding != "identity":
            raise Unsupported(f"The body is encoded as {encoding[:40]!r}. Send it as it is.")
        length, said = content_length(scope), field(scope, b"content-type")
        if said is not None and is_multipart(said):
            # That of the form, which is more than that of the file in it.
            length = None
        filling = await in_thread(self._executor, objects.fill_link, self._depot, _link(scope), length=length)
        try:
            if said is not None and is_multipart(said):
                receive = (await unwrap_file(receive, said)).receive
            await pump(receive, filling.write, executor=self._executor)
            sha256 = (await _finished(self._executor, filling)).sha256
        except BaseException:
            await in_thread(self._executor, filling.close)
            raise
        headers = {} if sha256 is None else {"etag": sha256_etag(sha256)}
        await send_answer(send, Answer(200, headers=headers))


async def _finished(executor: Executor, filling: Filling | Arrival) -> Slot | Consigned:
    return await in_thread(executor, filling.finish)


def _link(scope: Scope) -> str:
    """The link as it was sent."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    # Some servers leave the query in the raw path; it belongs to the text that was signed either way.
    text = raw.partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{text}?{query}" if query else text
