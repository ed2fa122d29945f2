"""Calling what is synchronous, which is everything below the doors, from what must not stand still."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(executor: Executor | None, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a worker thread, with the context variables of the caller.

    Unlike `asyncio.to_thread` it never leaves the function running behind the caller's back: a cancelled caller is
    cancelled once the function has returned, so nothing is closed that is still in use.

    Args:
        executor: None for the event loop's own.
    """
    call = _Call(partial(function, *args, **kwargs))
    if executor is None:
        call.loop.run_in_executor(None, call.run)
    else:
        executor.submit(call.run)
    try:
        value: R = await call.ended
    except asyncio.CancelledError:
        await call.over()
        raise
    return value


class _Call:
    """One call on its way through a thread and back.

    What it came to goes straight into a future of the loop. The futures of the executor, chained to one of the loop and
    shielded from cancellation, do the same in three turns of the loop, and every request waits for them.
    """

    __slots__ = ("_context", "_function", "_is_over", "ended", "loop")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._context = contextvars.copy_context()
        self._is_over = False
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Any] = self.loop.create_future()

    def run(self) -> None:
        """In the thread."""
        try:
            value = self._context.run(self._function)
        except BaseException as error:
            self.loop.call_soon_threadsafe(self._end, None, error)
        else:
            self.loop.call_soon_threadsafe(self._end, value, None)

    def _end(self, value: Any, error: BaseException | None) -> None:
        self._is_over = True
        if self.ended.done():
            # Cancelled at this very moment: `over` looks at the mark.
            return
        if error is None:
            self.ended.set_result(value)
        elif isinstance(error, StopIteration):
            # A future refuses it, because to whoever awaits it would mean the end of something else.
            self.ended.set_exception(RuntimeError("what ran in a thread ended an iteration that nobody had begun"))
        else:
            self.ended.set_exception(error)

    async def over(self) -> None:
        """Wait until the function has returned, however often the caller is cancelled meanwhile."""
        while not self._is_over:
            self.ended = self.loop.create_future()
            # What it came to is nobody's business any more.
            with contextlib.suppress(BaseException):
                await self.ended
