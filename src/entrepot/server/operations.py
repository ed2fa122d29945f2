"""What operators and their machines ask: is it alive, can it be used, what does it do.

/healthz   the process answers; nothing is looked at
/readyz    facts can be read and bytes be written; 503 with the reason otherwise, and while the server ends
/metrics   numbers for Prometheus
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Final

from starlette.types import Receive, Scope, Send

from entrepot.depot import installation
from entrepot.depot.context import Depot
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.threads import in_thread
from entrepot.model.errors import EntrepotError
from entrepot.server.metrics import Metrics

PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})

#: A probe writes and syncs a file; balancers ask every second from several machines.
_FRESH_S: Final = 3.0


class Operations:
    """The three routes."""

    def __init__(self, depot: Depot, executor: Executor, metrics: Metrics, draining: asyncio.Event) -> None:
        self._depot = depot
        self._executor = executor
        self._metrics = metrics
        self._draining = draining
        self._probing = asyncio.Lock()
        self._probed_at = float("-inf")
        self._fault: EntrepotError | None = None
        self._workers = 0

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await send_answer(send, Answer(405, headers={"allow": "GET, HEAD"}))
            return
        path = scope["path"]
        if path == "/healthz":
            answer = _json(200, {"alive": True})
        elif path == "/readyz":
            answer = await self._ready()
        else:
            body, media_type = await in_thread(self._executor, self._metrics.write)
            answer = Answer(200, body, media_type)
        if scope["method"] == "HEAD":
            answer = Answer(answer.status, b"", answer.media_type, answer.headers)
        await send_answer(send, answer)

    async def _ready(self) -> Answer:
        if self._draining.is_set():
            return _json(503, {"ready": False, "reason": "The server is ending."})
        loop = asyncio.get_running_loop()
        async with self._probing:
            if loop.time() - self._probed_at > _FRESH_S:
                try:
                    await in_thread(self._executor, installation.probe, self._depot)
                    self._workers = await in_thread(self._executor, self._metrics.workers)
                    self._fault = None
                except EntrepotError as error:
                    self._fault = error
                self._probed_at = loop.time()
        if self._fault is not None:
            return _json(503, {"ready": False, "code": self._fault.code, "reason": self._fault.message})
        # Without a worker requests are still answered, so this is told and not held against the server: its
        # supervisor starts another one, and what waits is not lost.
        return _json(200, {"ready": True, "workers": self._workers})


def _json(status: int, document: Mapping[str, object]) -> Answer:
    return Answer(status, json.dumps(document).encode(), "application/json", {"cache-control": "no-store"})
