"""Long lists as newline-delimited JSON: one row a line, streamed, for clients that want all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrepot.dialects.native.context import Asked
from entrepot.http.content import Representation, send_stream
from entrepot.wire.messages.base import Answer

NDJSON = "application/x-ndjson"


def wants_lines(asking: Asked) -> bool:
    """Whether the client asked for lines. Nobody gets them by accident: `*/*` means JSON."""
    accepted = asking.headers.get("accept", "")
    return any(part.partition(";")[0].strip().lower() == NDJSON for part in accepted.split(","))


class Lines(Response):
    """Rows as lines. An error in the middle breaks the connection, so a short answer never looks complete."""

    def __init__(self, rows: Iterable[Answer], executor: Executor, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(media_type=NDJSON)
        self._rows = rows
        self._executor = executor
        self._fields = tuple(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        representation = Representation(media_type=NDJSON, headers=self._fields)
        await send_stream(scope, receive, send, self._blocks(), representation, executor=self._executor)

    def _blocks(self) -> Iterator[bytes]:
        for row in self._rows:
            yield row.model_dump_json().encode() + b"\n"
