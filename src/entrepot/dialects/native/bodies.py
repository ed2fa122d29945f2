"""Receiving a body into whatever takes it, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.types import Receive

from entrepot.depot.context import Depot
from entrepot.depot.putting import Sink, put_whole
from entrepot.dialects.native.context import Asked
from entrepot.http.body import pump, read_small
from entrepot.http.threads import in_thread
from entrepot.model.access import Actor

S = TypeVar("S", bound=Sink)
T = TypeVar("T")


async def receive_whole(
    asking: Asked, receive: Receive, begin: Callable[[Depot, Actor], S], finish: Callable[[S], T]
) -> T:
    """Open a sink, push the whole body into it, finish it; whatever goes wrong, nothing of it is left.

    The sink is opened before the first byte is asked for, so what can be refused is refused before the client sends;
    but a small body is sent with the question.
    """
    executor = asking.context.executor
    small = await read_small(asking.scope, receive)
    if small is not None:
        return await asking.call(lambda depot, actor: put_whole(begin(depot, actor), small, finish))
    sink = await asking.call(begin)
    try:
        # Large bodies of small messages: joining them costs less than a system call for each.
        await pump(receive, sink.write, executor=executor)
        return await in_thread(executor, finish, sink)
    except BaseException:
        await in_thread(executor, sink.close)
        raise
