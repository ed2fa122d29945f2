"""Being the daemon: what `entrepot daemon run` does, however its words were read."""

from __future__ import annotations

import os

from entrepot.daemon import places, process
from entrepot.model.errors import AlreadyRunning

__all__ = ["rate_of", "run"]


def run(socket: str | os.PathLike[str] | None, idle: float | None, limit_rate: str | None, slots: int | None) -> None:
    """Serve until it ends.

    Raises:
        EntrepotError: It could not begin.
    """
    options = process.Options(process.idle_from_environment() if idle is None else idle, rate_of(limit_rate), slots)
    try:
        process.run(places.socket_path(socket), options)
    except AlreadyRunning as error:
        # Two programs that start one at the same moment are both served: for whoever lost, all is well.
        from entrepot.cli import output

        output.note(error.message)


def rate_of(text: str | None) -> float | None:
    """Bytes a second from `20M`; None for None."""
    if text is None:
        return None
    from entrepot.client.cache import parse_size

    return float(parse_size(text))
