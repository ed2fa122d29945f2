"""Logging in: signed tokens of this door, as its clients keep them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from entrepot.depot import sessions
from entrepot.dialects.ufdl.bodies import Fields
from entrepot.dialects.ufdl.context import DOOR, JSON, Asked, dumped
from entrepot.http.doors import send_answer
from entrepot.http.errors import Answer
from entrepot.http.threads import in_thread

#: The original's. The other token lives an hour, where the original's lives five minutes: after a 401 the client sends
#: an open file again from where it is, which is its end.
REFRESH: Final = timedelta(hours=8)


async def obtain(asked: Asked, _found: Mapping[str, str]) -> None:
    """A pair of tokens for a name and a password."""
    fields = Fields(await asked.body_of_anybody())
    name, password = fields.text("username"), fields.text("password", trim=False)
    fields.check()
    assert name is not None
    assert password is not None
    context, address = asked.context, asked.address

    def work() -> dict[str, str]:
        made = sessions.obtain(context.depot, name, password, door=DOOR, address=address, refresh=REFRESH)
        return {"refresh": made.refresh.text, "access": made.access.text}

    await _answer(asked, await in_thread(context.executor, work))


async def refresh(asked: Asked, _found: Mapping[str, str]) -> None:
    """Another access token; the refresh token stays as it is."""
    fields = Fields(await asked.body_of_anybody())
    text = fields.text("refresh")
    fields.check()
    assert text is not None
    made = await in_thread(asked.context.executor, sessions.refresh, asked.context.depot, text, door=DOOR)
    await _answer(asked, {"access": made.text})


async def verify(asked: Asked, _found: Mapping[str, str]) -> None:
    """Whether a token of either kind is good."""
    fields = Fields(await asked.body_of_anybody())
    text = fields.text("token")
    fields.check()
    assert text is not None
    await in_thread(asked.context.executor, sessions.check, asked.context.depot, text, door=DOOR)
    await _answer(asked, {})


async def _answer(asked: Asked, value: Any) -> None:
    await send_answer(asked.send, Answer(200, dumped(value), JSON, {"cache-control": "no-store"}))
