"""Calls into worker threads: context goes along, and a cancelled caller leaves nothing running."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from entrepot.http.threads import in_thread
from tests.support.asgi import run


def test_results_errors_and_context_pass_through() -> None:
    actor = contextvars.ContextVar("actor", default="nobody")

    def who(suffix: str, *, mark: str) -> tuple[str, bool]:
        return actor.get() + suffix + mark, threading.current_thread() is threading.main_thread()

    def fails() -> None:
        raise KeyError("x")

    async def calls() -> None:
        actor.set("somebody")
        assert await in_thread(None, who, "!", mark="?") == ("somebody!?", False)
        with pytest.raises(KeyError):
            await in_thread(None, fails)

    run(calls())


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancelled_caller_goes_on_once_the_function_has_returned(fails: bool) -> None:
    async def calls() -> None:
        entered, release, left = threading.Event(), threading.Event(), threading.Event()

        def held() -> None:
            entered.set()
            assert release.wait(60)
            left.set()
            if fails:
                raise KeyError

        task = asyncio.create_task(in_thread(None, held))
        await asyncio.to_thread(entered.wait, 60)
        for _ in range(3):
            task.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done()
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left.is_set()

    run(calls())
