"""Transfers of the daemon whose daemon, client or server is killed in the middle, with every byte on the way counted.

    client ──socket── daemon ──CountingProxy── server
                                    │
                          kills at chosen bytes

A transfer is begun by a client of its own and then disturbed at one point after the other. Whoever was killed is
started again, as a user or a supervisor would; the client is not, and it ends with its daemon. In the end the
transfer is done, once, with the right digest, and what went over the wire beyond its size is what the kills cost.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from entrepot.client.client import Client
from tests.support.counting_proxy import CountingProxy
from tests.support.daemon import Daemon, daemon_place
from tests.support.forked_house import ForkedHouse
from tests.support.server import Server, free_port, is_alive, running_server, wait_until

VICTIMS = ("daemon", "server", "client")
#: Heads of requests and answers, and what the kernel has taken from a process that is gone by then.
SLACK = 1 << 20
_PIECE = 16 << 20
_CLIENT = """
import sys, entrepot
with entrepot.DaemonClient(socket_path=sys.argv[1], binary_path=sys.argv[2], start_timeout_s=60) as client:
    kind, what, where, chunk = sys.argv[3], sys.argv[4], sys.argv[5], int(sys.argv[6])
    if kind == "upload":
        client.upload(what, title=where, owner_type="project", owner_id="kills", chunk_size_mb=chunk)
    else:
        client.download(what, where, chunk_size_mb=chunk)
"""


@dataclass
class Figures:
    """What a campaign found. `worst` is the most that one transfer sent again, for each kill it had, in bytes."""

    kills: Counter[str] = field(default_factory=Counter)
    transfers: int = 0
    size: int = 0
    sent_again: int = 0
    worst: float = 0.0


class WholeHouse:
    """The product's own server with all its processes, killed together and started again at the same port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = free_port()
        self._stack = contextlib.ExitStack()
        self._start()
        self.token = self._server.token()

    def _start(self) -> None:
        self._server: Server = self._stack.enter_context(running_server(self._data, port=self._port))
        self.url = self._server.url
        self.pids = [self._server.pid, *self._server.children()]

    def restart(self) -> None:
        self._server.process.wait()
        self._stack.close()
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


class Campaign:
    """A server that can be killed and comes back at its address, a daemon, and a way between them that counts.

    Args:
        size: Bytes of a transfer; `chunk_mib` of one of its chunks.
        rate: Bytes a second, so that there is a middle to be killed in.
        serving: Makes the server on a folder.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        size: int,
        chunk_mib: int,
        rate: int,
        serving: Callable[[Path], ForkedHouse | WholeHouse] = ForkedHouse,
    ) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.size = size
        self.chunk = chunk_mib << 20
        self.rate = rate
        self.figures = Figures()
        self._serving = serving
        self._fired = threading.Event()
        self._armed: tuple[int, list[int]] | None = None
        self._upward = True
        self._numbers = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with contextlib.ExitStack() as self._stack, pytest.MonkeyPatch.context() as patch:
            self.server = self._stack.enter_context(self._serving(self.folder / "data"))
            self.proxy = self._stack.enter_context(CountingProxy(self.server.url, self._passed))
            for name in ("CONFIG", "CACHE", "STATE"):
                patch.setenv(f"XDG_{name}_HOME", str(self.folder / name.lower()))
            patch.setenv("ENTREPOT_URL", self.proxy.url)
            patch.setenv("ENTREPOT_TOKEN", self.server.token)
            self.place: Daemon = self._stack.enter_context(daemon_place(self.folder / "place"))
            with self.sdk() as sdk:
                sdk.projects.create("Kills", slug="kills")
            self.place.call("limit", rate_bps=self.rate)
            yield

    def sdk(self) -> Client:
        return Client(self.server.url, self.server.token)

    # --- killing ------------------------------------------------------------------------------------------------------

    def _passed(self, up: int, down: int) -> None:
        armed = self._armed
        if armed is not None and (up if self._upward else down) >= armed[0]:
            self._armed = None
            for pid in armed[1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._fired.set()

    def _disturb(self, victim: str, at: int, client: subprocess.Popen[bytes], transfer: str) -> bool:
        """Kill somebody when so many bytes have passed, and see to what comes after; False if it was over by then."""
        daemon = self.place.pid
        assert daemon
        if victim == "client" and client.poll() is not None:
            victim = "daemon"
        pids = {"daemon": [daemon], "server": self.server.pids, "client": [client.pid]}[victim]
        self._fired.clear()
        self._armed = (at, pids)
        wait_until(lambda: self._fired.is_set() or self._state(transfer) == "done", f"{victim} is killed at {at}")
        if not self._fired.is_set():
            self._armed = None
            return False
        if victim == "client":
            client.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "they are gone")
        if victim == "server":
            self.server.restart()
        if victim == "daemon":
            # Maybe there is another one already: whoever asked for the state just then has started it.
            self.place.call("ping")
        self.figures.kills[victim] += 1
        return True

    def _state(self, transfer: str) -> str:
        try:
            return str(self.place.call("transfer", transfer_id=transfer)["state"])
        except (ConnectionError, AssertionError):
            # Just killed; whoever waits looks again.
            return "gone"

    # --- transfers ----------------------------------------------------------------------------------------------------

    def upload(self, victims: list[str]) -> str:
        """The asset; checked to be there once, with the right digest."""
        self._numbers += 1
        source = self.folder / f"source{self._numbers}.bin"
        # In pieces: one number of 3.2 thousand million bits is more than the generator makes.
        content = b"".join(self.chance.randbytes(min(_PIECE, self.size - at)) for at in range(0, self.size, _PIECE))
        source.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        del content
        title = f"Killed {self._numbers}"
        row = self._carried_out("upload", victims, str(source), title)
        with self.sdk() as sdk:
            (found,) = sdk.versions.list(project="kills", name=title)
            (entry,) = sdk.data.list(found)
        assert (row["asset_id"], found.revision) == (found.id, 1)
        assert (entry.path, entry.sha256) == (source.name, f"sha256:{digest}")
        self._digest = digest
        source.unlink()
        return found.id

    def download(self, asset: str, victims: list[str]) -> None:
        self._numbers += 1
        into = self.folder / f"out{self._numbers}"
        self._carried_out("download", victims, asset, str(into))
        (arrived,) = into.iterdir()
        with arrived.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == self._digest
        arrived.unlink()

    def _carried_out(self, kind: str, victims: list[str], what: str, where: str) -> dict[str, str]:
        self.proxy.reset()
        self._upward = kind == "upload"
        before = {row["transfer_id"] for row in self.place.call("status")["transfers"]}
        command = [sys.executable, "-c", _CLIENT, str(self.place.socket), str(self.place.binary), kind, what, where]
        client = subprocess.Popen([*command, str(self.chunk >> 20)], stderr=subprocess.DEVNULL)
        transfer = ""

        def begun() -> bool:
            nonlocal transfer
            fresh = [r for r in self.place.call("status")["transfers"] if r["transfer_id"] not in before]
            transfer = fresh[0]["transfer_id"] if fresh else ""
            return bool(transfer)

        wait_until(begun, "the transfer is accepted")
        kills = 0
        for number, victim in enumerate(victims):
            # Spread over the whole, each somewhere in its part.
            at = int((number + self.chance.random()) * self.size / len(victims))
            kills += self._disturb(victim, at, client, transfer)
        wait_until(lambda: self._state(transfer) in ("done", "failed"), "the transfer ends")
        row: dict[str, str] = self.place.call("transfer", transfer_id=transfer)
        assert row["state"] == "done", f"{row}\n{self.place.log()}"
        client.wait()
        moved = self.proxy.up if self._upward else self.proxy.down
        again = max(0, moved - self.size)
        bound = max(1, kills) * (self.chunk + SLACK)
        assert again <= bound, f"{again} bytes of a {kind} were sent again after {kills} kills; {bound} are allowed"
        self.figures.transfers += 1
        self.figures.size += self.size
        self.figures.sent_again += again
        self.figures.worst = max(self.figures.worst, again / max(1, kills))
        return row
