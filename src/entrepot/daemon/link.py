"""One connection to a daemon: requests and their answers, and what it tells in between. Safe for several threads."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from entrepot._version import __version__
from entrepot.daemon import places, protocol
from entrepot.daemon.errors import DaemonError, DaemonTimeoutError
from entrepot.daemon.peer import peer_uid
from entrepot.daemon.protocol import Message, Unreadable
from entrepot.model.errors import EntrepotError

__all__ = ["Link", "Told"]

#: Answers may be longer than questions: a thousand files with their paths.
_MAX_ANSWER = 64 << 20

_MOST_EARLY = 1000

Told = tuple[str, dict[str, Any]]
_GONE = "The daemon on {} has gone. What it accepted is in its journal, and the next daemon goes on with it."


class Link:
    """Connected and greeted when it is made.

    Raises:
        ConnectionError: Nobody listens there, it hung up, or it is another user's.
        DaemonTimeoutError: It took the connection and said nothing.
        DaemonError: It speaks another protocol.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        self._path = path
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._number = 0
        self._answers: dict[int, queue.SimpleQueue[Message | None]] = {}
        self._told: dict[str, queue.SimpleQueue[Told | None]] = {}
        #: What was told of transfers before anybody could ask for it.
        self._early: dict[str, list[Told]] = {}
        self._left: set[str] = set()
        self._closed = False
        self._socket = _connect(path, timeout_s)
        threading.Thread(target=self._read, name="entrepot-daemon", daemon=True).start()
        try:
            self.hello = self.call(
                "hello",
                {"protocol": protocol.PROTOCOL, "client": f"entrepot/{__version__} pid {os.getpid()}"},
                timeout_s,
            )
        except BaseException:
            self.close()
            raise

    def call(self, method: str, params: dict[str, Any], timeout_s: float) -> Any:
        """The result of a method.

        Raises:
            DaemonError: What it says went wrong.
            DaemonTimeoutError: No answer in time; it may still do it.
            ConnectionError: It has gone.
        """
        answer: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        with self._lock:
            self._require_open()
            self._number += 1
            number = self._number
            self._answers[number] = answer
        try:
            try:
                line = protocol.request(number, method, params)
            except (TypeError, ValueError) as error:
                raise DaemonError("invalid", f"{method} was given what JSON does not have: {error}.") from error
            if len(line) > protocol.MAX_LINE:
                raise DaemonError("too_large", f"What {method} was given is longer than {protocol.MAX_LINE} bytes.")
            self._send(line)
            try:
                found = answer.get(timeout=timeout_s)
            except queue.Empty:
                raise DaemonTimeoutError(
                    f"The daemon did not answer {method} within {timeout_s:g} s. `entrepot daemon logs` may say why."
                ) from None
        finally:
            with self._lock:
                self._answers.pop(number, None)
        if found is None:
            raise ConnectionResetError(_GONE.format(self._path))
        if found.failure is not None:
            data = found.failure.data
            raise DaemonError(
                found.failure.code, found.failure.message, details=data.get("details"), errors=data.get("errors")
            )
        return found.result

    def follow(self, transfer_id: str) -> queue.SimpleQueue[Told | None]:
        """What is told of a transfer from now on, with what was told since it was asked for; None when all is over."""
        with self._lock:
            self._left.discard(transfer_id)
            told = self._told.setdefault(transfer_id, queue.SimpleQueue())
            for one in self._early.pop(transfer_id, []):
                told.put(one)
            if self._closed:
                told.put(None)
        return told

    def leave(self, transfer_id: str) -> None:
        with self._lock:
            self._told.pop(transfer_id, None)
            self._left.add(transfer_id)

    @property
    def usable(self) -> bool:
        """Whether it is connected still, as far as one knows, and by this process: answers reach one process only."""
        return not self._closed and self._pid == os.getpid()

    def close(self) -> None:
        if self._pid != os.getpid():
            # In a child of a fork: to hang up would be to hang up for the parent.
            self._socket.close()
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._gone()

    def _require_open(self) -> None:
        if self._pid != os.getpid():
            raise ConnectionError("This connection to the daemon belongs to another process. Connect in this one.")
        if self._closed:
            raise ConnectionResetError(_GONE.format(self._path))

    def _send(self, line: bytes) -> None:
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError as error:
            # Now, and not when the reader comes to see it: whoever is told so connects anew, and would find it in use.
            self._gone()
            raise ConnectionResetError(_GONE.format(self._path)) from error

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, Unreadable), self._socket.makefile("rb") as lines:
            while line := lines.readline(_MAX_ANSWER):
                if not line.endswith(b"\n"):
                    break
                self._take(protocol.decode(line))
        self._gone()

    def _take(self, message: Message) -> None:
        with self._lock:
            if message.method is not None:
                params = message.params or {}
                transfer = params.get("transfer_id")
                if isinstance(transfer, str):
                    told = self._told.get(transfer)
                    if told is not None:
                        told.put((message.method, params))
                    elif transfer not in self._left:
                        early = self._early.setdefault(transfer, [])
                        # Of a transfer whose answer came too late nobody will ever ask.
                        if len(early) < _MOST_EARLY or message.method == "ended":
                            early.append((message.method, params))
                return
            waiting = self._answers.get(message.id) if isinstance(message.id, int) else None
        if waiting is not None:
            waiting.put(message)

    def _gone(self) -> None:
        with self._lock:
            self._closed = True
            waiting, self._answers = list(self._answers.values()), {}
            for answer in waiting:
                answer.put(None)
            for told in self._told.values():
                told.put(None)


def _connect(path: Path, timeout_s: float) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise ConnectionRefusedError(
            "The transfer daemon needs Unix sockets, which Python does not have on this system."
        )
    made = socket.socket(socket.AF_UNIX)
    try:
        # Waits its turn when many connect at once; with a time limit it would be refused instead.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(timeout_s))
        with places.short(path) as address:
            made.connect(address)
        uid = peer_uid(made)
        if uid is not None and uid != os.getuid():
            raise ConnectionRefusedError(f"The process that listens on {path} is another user's (uid {uid}).")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(0))
    except ConnectionError:
        made.close()
        raise
    except (TimeoutError, BlockingIOError) as error:
        made.close()
        raise DaemonTimeoutError(f"The daemon on {path} did not take the connection within {timeout_s:g} s.") from error
    except EntrepotError as error:
        made.close()
        raise DaemonError(error.code, error.message) from error
    except OSError as error:
        made.close()
        raise ConnectionRefusedError(f"Nobody listens on {path}: {error.strerror or error}.") from error
    return made


def _timeval(seconds: float) -> bytes:
    """`struct timeval`, of which nothing means for ever."""
    microseconds = round(seconds * 1_000_000)
    return struct.pack("@ll", *divmod(microseconds, 1_000_000))
