"""`entrepot serve`: one server on one data folder, from its first start to its orderly end.

    serve ─► lock ─► upgrade ─► first start ─► supervisor ─┬─ answering processes (granian), 1 … N
                                                          └─ the process for background work

Each of them, the upgrade too, is a copy of one process that has imported everything (`server.copies`).
The supervisor answers nothing itself. It starts the others, starts them again when they die, and ends them: first it
cuts their lifeline, so that nobody goes on waiting on behalf of a client, then it asks them to end, then it kills what
is left. If the supervisor itself is killed, the lifeline is cut all the same.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import mp
from granian.server.mp import MPServer, WorkerProcess

from entrepot._version import __version__
from entrepot.model.errors import EntrepotError, Unavailable
from entrepot.server import copies, datadir, logs
from entrepot.server.children import Child, ManagedProcess, Program
from entrepot.server.config import Config, environment, strangers
from entrepot.server.lifeline import Lifeline

#: Larger ones gain little and each connection pays: at the peak of a process 2 MiB cost 6 MiB more than this, 4 MiB 21.
_BUFFER: Final = 1 << 20
#: How long a port may stay taken by a server that was killed a moment ago.
_PORT_PATIENCE_S: Final = 5.0
#: Where the folder of the mould's socket stands, below the folder of what runs.
MOULD: Final = "mould"

log = structlog.get_logger(__name__)


def serve(
    config: Config,
    *,
    environ: Mapping[str, str] | None = None,
    announce: Callable[[str], None] = print,
    job_worker: Sequence[str] | None = None,
) -> int:
    """Serve until told to end; answers the exit status.

    Args:
        environ: Where the administrator's first password is looked for.
        announce: Is told the address, and at the first start the password if one had to be made up.
        job_worker: A command for the process for background work instead of a copy; its standard input is its lifeline.

    Raises:
        AlreadyRunning: Another server has this data folder.
        Unavailable: The folder, the database or the port cannot be used.
        Unsupported: A newer Entrepot wrote the catalogue.
    """
    logs.configure(config.log_level, config.log_format)
    for name in strangers(os.environ if environ is None else environ):
        log.warning("a variable is no setting and changes nothing", variable=name)
    datadir.prepare(config.data)
    with datadir.ServerLock(config.data):
        if config.secret_key is None and datadir.lacks_secret(config.data):
            log.warning(
                f"{datadir.SECRET} is gone and made anew: links made so far end, and secrets of webhooks cannot be "
                "opened. If there is a copy of it, in a backup say, put it back and start again.",
                folder=str(config.data),
            )
        config = replace(config, port=_free_port(config.host, config.port))
        _prepare_metrics(config)
        # The C library of Linux gives each thread a heap of its own and returns little of it: with two for all of them,
        # which it reads when a process starts, large bodies leave less of it behind.
        os.environ.setdefault("MALLOC_ARENA_MAX", "2")
        with copies.without_command_line():
            copies.warm(config.data / datadir.RUN / MOULD)
            password = copies.apart(partial(_prepare, config, dict(os.environ if environ is None else environ)))
            if password is not None:
                # Whoever is killed before this line finds an account that nobody can enter. A password in a file would
                # lie there for years; instead whoever has the folder can set another one at any time.
                announce(
                    f"The password of admin is {password} (shown this once; "
                    f"`entrepot user password admin --data {config.data}` sets another)."
                )
            supervisor = _Supervisor(config, _jobs(config, job_worker))

            @supervisor.on_startup
            def say() -> None:
                # Not before: from here on the server listens, and ends in order when it is told to.
                announce(f"Entrepot {__version__} serves {config.data} at {_address(config)}")
                sys.stdout.flush()

            return supervisor.run()


def _prepare(config: Config, environ: Mapping[str, str]) -> str | None:
    """Upgrade the catalogue and, the first time, furnish it; the password of admin if one was made up."""
    from entrepot.depot import idempotency
    from entrepot.server import compose

    with compose.open_depot(config, upgrade=True) as depot:
        compose.require_store(depot)
        if config.store is not None:
            # A wrong key would else be found by the first person who uploads.
            depot.store.probe()
        if depot.catalog.dialect == "sqlite":
            # Other machines may serve a PostgreSQL, and be at work.
            idempotency.release_all(depot)
        return compose.first_start(depot, environ).generated_password


def _prepare_metrics(config: Config) -> None:
    """Choose how several processes add up their numbers; the library reads its variable once, when it is imported."""
    folder = config.data / datadir.RUN / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    if config.workers > 1:
        folder.mkdir(mode=0o700)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    else:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


def _jobs(config: Config, command: Sequence[str] | None) -> ManagedProcess | None:
    if not config.jobs:
        return None
    if command is not None:
        # Settings that were given on our command line reach it by its environment, where nobody else reads them.
        return ManagedProcess("worker", partial(Program, command, {**os.environ, **environment(config)}))
    return ManagedProcess("worker", partial(_copy_for_jobs, config))


def _copy_for_jobs(config: Config) -> Child:
    return copies.Copy("entrepot-worker", partial(_work, config))


def _work(config: Config, lifeline: Connection) -> int:
    """In a new process: background work, bound to the parent's life."""
    from entrepot.server import worker

    try:
        return worker.run(config, line=lifeline.recv_bytes)
    except EntrepotError as error:
        print(f"entrepot: {error}", file=sys.stderr)
        return 1


def _address(config: Config) -> str:
    if config.public_url is not None:
        return config.public_url
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"http://{host}:{config.port}"


def _free_port(host: str, port: int) -> int:
    """The port, if nobody listens there; for 0 one that is free.

    Asked before the server binds, because it binds with SO_REUSEPORT: two servers would share a port without a word.

    Raises:
        Unavailable
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen(1)
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"Nobody can listen at {host} port {port}: {error.strerror or error}. "
                        "Choose another with --host and --port."
                    ) from error
            else:
                return int(probe.getsockname()[1])
        time.sleep(0.1)


class _Answering(WorkerProcess):
    """A process that answers requests, as a copy. Granian itself would start an interpreter anew: it avoids copies
    because of sockets that processes share, and on Linux each of ours opens its own at the same port.
    """

    def _spawn(self, target: Any, args: Any) -> None:
        self._spawn_method = copies.METHOD
        super()._spawn(target, args)  # type: ignore[no-untyped-call]


# The one place where granian makes such a process has the class by name.
setattr(mp, "WorkerProcess", _Answering)  # noqa: B010 - an assignment is refused by the type checker


class _Supervisor(MPServer):
    """Granian's own supervisor, with a lifeline to its processes and one more process beside them."""

    def __init__(self, config: Config, jobs: ManagedProcess | None) -> None:
        self._lifeline = Lifeline()
        self._jobs = jobs
        self._grace_s = config.shutdown_grace_s
        self._loader: Callable[[], Any] = partial(_load, config, self._lifeline.child_end)
        super().__init__(
            "entrepot.server.asgi:load",
            address=config.host,
            port=config.port,
            interface=Interfaces.ASGI,
            workers=config.workers,
            loop=Loops.uvloop,
            http=HTTPModes.http1,
            websockets=False,
            backlog=2048,
            http1_settings=HTTP1Settings(max_buffer_size=_BUFFER),
            log_level=LogLevels.warning,
            log_dictconfig=logs.GRANIAN,
            respawn_failed_workers=True,
            workers_kill_timeout=max(1, round(config.shutdown_grace_s)),
        )
        self.on_startup(self._start_jobs)

    def run(self) -> int:
        try:
            self.serve(target_loader=self._loader, wrap_loader=False)
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            self._lifeline.cut()
            if self._jobs is not None:
                self._jobs.wait(self._grace_s)
        return 0

    def _start_jobs(self) -> None:
        if self._jobs is not None:
            self._jobs.start()

    def shutdown(self, exit_code: int = 0) -> None:
        log.info("server is ending")
        self._lifeline.cut()
        if self._jobs is not None:
            self._jobs.terminate()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]


def _load(config: Config, lifeline: Connection) -> Any:
    """In a new process: the application, bound to the parent's life. The parent itself never imports the doors."""
    copies.become("entrepot-answer")
    from entrepot.server.asgi import load

    return load(config, lifeline)
