"""What the processes of a server are copied from: everything they need is imported here, once.

Only the process that is copied imports this module, and it does nothing else: it has one thread, opens no database and
no file, and makes copies of itself when the supervisor asks (`server.copies`).
"""

from __future__ import annotations

import gc
import signal

import uvloop

from entrepot.server import asgi, process, worker

__all__ = ["asgi", "process", "uvloop", "worker"]

# Service managers tell every process of a server to end at once. The mould ends when nobody is left who could ask it
# for a copy; if it went first, the supervisor would take its answering processes for lost while they still answer.
signal.signal(signal.SIGTERM, signal.SIG_IGN)
# Copies share this memory as long as nobody writes to it, and a collection of garbage writes to all that it looks at.
gc.collect()
gc.freeze()
# A batch or a commit has ten thousand files, each of some small objects, and looking for cycles after every 700 of them
# was a tenth of the time of both.
gc.set_threshold(10_000)
