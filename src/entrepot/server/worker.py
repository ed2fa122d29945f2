"""`entrepot worker`: a process that does background work on a data folder, beside the server or on another machine.

    serve ──starts──► a worker of its own  ends with the server, however that ends
    worker                                 more of them, by hand or by a service manager
    worker --managed                       ends with whoever started it

Any number may run on one catalogue. One that is killed is missed by the others, or by the next to start, at once on the
same machine and after its lease elsewhere; what it was doing begins again.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import structlog

from entrepot.depot import background, installation
from entrepot.jobs.worker import Worker
from entrepot.model.errors import Invalid
from entrepot.server import compose, datadir, lifeline, logs
from entrepot.server.config import Config

log = structlog.get_logger(__name__)

#: How long running jobs may take to stop; then they are given back without being asked again. A part of the time that
#: the server's own end may take.
_GRACE_SHARE, _GRACE_MOST_S = 0.4, 4.0


def run(
    config: Config,
    *,
    queues: Sequence[str] | None = None,
    line: Callable[[], object] | None = None,
    announce: Callable[[str], None] = print,
) -> int:
    """Work until told to end (SIGTERM, SIGINT); answers the exit status.

    Args:
        queues: Which of `background.QUEUES`; None is all.
        line: Returns, or raises EOFError or OSError, when whoever started this process is gone: it then ends too.
        announce: Is told when the worker is about to begin, unless there is such a line.

    Raises:
        Invalid: There is no such queue.
        Unavailable: The folder or the database cannot be used, or no server was ever started on it.
        Unsupported: A newer Entrepot wrote the catalogue.
    """
    chosen = _chosen(queues)
    logs.configure(config.log_level, config.log_format)
    grace_s = min(config.shutdown_grace_s * _GRACE_SHARE, _GRACE_MOST_S)
    with compose.open_depot(config, upgrade=True) as depot:
        installation.uid(depot)
        worker = Worker(
            depot.catalog,
            background.kinds(depot),
            queues=[queue for queue in chosen for _ in range(background.RUNNERS.get(queue, 1))],
            name=_name(),
            folder=config.data / datadir.RUN / compose.WORKERS,
            new_uid=depot.new_uid,
            periodic=background.PERIODIC,
            pauses=background.PAUSES,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: worker.ask_to_end())
        if line is not None:
            lifeline.follow(line, on_cut=worker.ask_to_end, grace_s=config.shutdown_grace_s)
        else:
            announce(f"Working on {config.data}: {', '.join(chosen)}")
            sys.stdout.flush()
        worker.run(grace_s=grace_s)
    return 0


def _chosen(queues: Sequence[str] | None) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(queues or background.QUEUES))
    for queue in wanted:
        if queue not in background.QUEUES:
            raise Invalid(f"There is no queue {queue!r}. There are {', '.join(background.QUEUES)}.")
    return wanted


def _name() -> str:
    """Never used twice, on any machine; people recognise in it where the worker runs."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{secrets.token_hex(6)}"


def input_ended() -> None:
    """Returns when the standard input ends, as it does when whoever started this process dies."""
    # The descriptor itself: a thread that waits in `sys.stdin` would hold its lock when the interpreter ends.
    while os.read(0, 4096):
        pass
