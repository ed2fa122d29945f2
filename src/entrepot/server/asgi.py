"""The application of one answering process, for the supervisor and for any other ASGI server.

uvicorn --factory entrepot.server.asgi:app      settings from the environment; upgrade and first start done before
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from entrepot.server import config, lifeline, logs
from entrepot.server.config import Config
from entrepot.server.house import House, open_house

log = structlog.get_logger(__name__)

#: What the last answers may take to leave the machine once the house is closed.
_LAST_BYTES_S = 1.0


def app() -> ASGIApp:
    """An application with the settings of the environment."""
    return Application(config.load(environ=os.environ))


def load(settings: Config, line: Connection | None = None) -> ASGIApp:
    """The application of a process that the supervisor started.

    Args:
        line: The child's end of the lifeline.
    """
    logs.configure(settings.log_level, settings.log_format)
    made = Application(settings)
    if line is not None:
        made.on_closed = _leave_soon
        lifeline.follow(line.recv_bytes, on_cut=made.drain, grace_s=settings.shutdown_grace_s + 1)
    return made


def _leave_soon() -> None:
    """End this process although its server takes seconds to let go of what is closed already."""

    def leave() -> None:
        time.sleep(_LAST_BYTES_S)
        os._exit(0)

    threading.Thread(target=leave, name="leave", daemon=True).start()


class Application:
    """Opens the house when the server starts and closes it when the server ends (the lifespan of ASGI)."""

    def __init__(self, settings: Config) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._house: House | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way = 0
        self._idle = asyncio.Event()
        self.on_closed: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._house is not None
        self._under_way += 1
        try:
            await self._house.app(scope, receive, send)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    def drain(self) -> None:
        """Let nobody wait any longer on behalf of a client. From any thread."""
        if self._loop is not None and self._house is not None:
            self._loop.call_soon_threadsafe(self._house.draining.set)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    self._open()
                except Exception as error:
                    self._stack.close()
                    log.error("this process cannot start", exc_info=error)
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    return
                await send({"type": "lifespan.startup.complete"})
            else:
                self.drain()
                await self._last_requests()
                self._stack.close()
                self.on_closed()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _last_requests(self) -> None:
        """Let requests that are under way end, for a while: the server itself says goodbye without waiting for them."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.shutdown_grace_s
        with contextlib.suppress(TimeoutError):
            while self._under_way:
                self._idle.clear()
                async with asyncio.timeout_at(deadline):
                    await self._idle.wait()
        if self._under_way:
            log.warning("requests were cut off by the end of the server", requests=self._under_way)

    def _open(self) -> None:
        # In the loop and before the first request, so that nothing has to be ready for both.
        self._loop = asyncio.get_running_loop()
        self._house = self._stack.enter_context(open_house(self._settings))
