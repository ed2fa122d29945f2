"""The server's end of the socket: one thread that accepts, reads lines and writes answers, and never waits for anybody.

What keeps hostile or broken peers from doing harm:

- a peer of another user is hung up on before a byte is read
- so many connections, each with so many bytes of unfinished line, unanswered requests and unread answers
- a line that is too long, or a peer that does not say hello in time, ends that connection and no other
- what a slow reader does not fetch is dropped where it can be (progress), and ends the connection where it cannot

Requests are answered by threads of a small pool, so that a slow server delays nobody else's questions.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from entrepot.daemon import protocol
from entrepot.daemon.errors import facts_of
from entrepot.daemon.peer import peer_uid
from entrepot.daemon.protocol import MAX_LINE, Message, Unreadable
from entrepot.model.errors import EntrepotError, Malformed, Unavailable

__all__ = ["Connection", "Listener"]

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
_MAX_PENDING = 32
_MAX_UNREAD = 8 << 20
_DROP_ABOVE = 1 << 18
_HELLO_S = 10.0
_READ = 1 << 16
_THREADS = 24

Answer = Callable[["Connection", str, dict[str, Any]], Any]


class Connection:
    """A client. `send` and `tell` may be called from any thread; the rest belongs to the listener's."""

    def __init__(self, peer: socket.socket, number: int, wake: Callable[[Connection], None]) -> None:
        self.socket = peer
        self.number = number
        self.client = f"connection {number}"
        self.greeted = False
        self.since = time.monotonic()
        self.closed = False
        self.pending = 0
        self.received = bytearray()
        self.searched = 0
        self._wake = wake
        self._lock = threading.Lock()
        self._out: deque[bytes] = deque()
        self._unsent = 0
        self.last_line = False

    def asked(self) -> None:
        with self._lock:
            self.pending += 1

    def answered(self, line: bytes) -> None:
        with self._lock:
            self.pending -= 1
        self.send(line)

    def send(self, line: bytes) -> None:
        with self._lock:
            if self.closed:
                return
            self._out.append(line)
            self._unsent += len(line)
        self._wake(self)

    def tell(self, method: str, params: dict[str, Any], *, droppable: bool = False) -> None:
        """A notification. Whoever does not read does not get those that can be dropped."""
        if not (droppable and self._unsent > _DROP_ABOVE):
            self.send(protocol.notification(method, params))

    @property
    def unsent(self) -> int:
        return self._unsent

    @property
    def behind(self) -> int:
        """Bytes that wait behind the line that is being sent: one answer may be of any length."""
        with self._lock:
            return self._unsent - len(self._out[0]) if self._out else 0

    def flush(self) -> None:
        """Write what the peer takes now.

        Raises:
            OSError: It has gone.
        """
        while True:
            with self._lock:
                if not self._out:
                    return
                line = self._out[0]
            try:
                sent = self.socket.send(line)
            except BlockingIOError:
                return
            with self._lock:
                self._unsent -= sent
                if sent == len(line):
                    self._out.popleft()
                else:
                    self._out[0] = line[sent:]


class Listener:
    """Serves a listening socket until it is told to stop.

    Args:
        answer: Gives the result of a method, called in a thread of the pool.
        gone: Called when a connection has ended.
        owner: The only uid that may connect.
    """

    def __init__(
        self,
        listening: socket.socket,
        answer: Answer,
        gone: Callable[[Connection], None],
        *,
        owner: int | None = None,
    ) -> None:
        self._listening = listening
        self._answer = answer
        self._gone = gone
        self._owner = os.getuid() if owner is None else owner
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self._dirty: set[Connection] = set()
        self._dirty_lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._numbers = 0
        self._stopping = False
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="answer")
        self._accepting = True
        self.quiet_since = time.monotonic()

    # --- from any thread ----------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        return len(self._connections)

    def stop(self) -> None:
        self._stopping = True
        self._nudge()

    def _nudge(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            self._waker.send(b"!")

    def _has_output(self, connection: Connection) -> None:
        with self._dirty_lock:
            self._dirty.add(connection)
        self._nudge()

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self, each_second: Callable[[], None]) -> None:
        """Serve; returns after `stop`. `each_second` is called about that often, and must not take long."""
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._awake, selectors.EVENT_READ)
        ticked = 0.0
        try:
            while not self._stopping:
                for key, events in self._selector.select(1.0):
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fileobj is self._awake:
                        self._drain()
                    else:
                        self._serve(key.data, events)
                self._write_out()
                if time.monotonic() - ticked >= 1.0:
                    ticked = time.monotonic()
                    self._hang_up_on_the_silent()
                    try:
                        each_second()
                    except Exception:
                        # A journal without room, for one: it passes, and until then there is somebody to ask.
                        log.exception("a look at how things are")
        finally:
            self._finish()

    def _finish(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + 1.0
        while any(one.unsent for one in self._connections) and time.monotonic() < deadline:
            self._write_out(everybody=True)
            self._selector.select(0.02)
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        self._awake.close()
        self._waker.close()

    def _accept(self) -> None:
        for _ in range(64):
            try:
                peer, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # No descriptors left: those that wait are served when others have gone.
                log.warning("cannot accept: %s", error)
                self._pause_accepting()
                return
            if (uid := peer_uid(peer)) is not None and uid != self._owner:
                log.warning("hung up on a process of uid %s", uid)
                peer.close()
                continue
            peer.setblocking(False)
            self._numbers += 1
            connection = Connection(peer, self._numbers, self._has_output)
            if len(self._connections) >= MAX_CONNECTIONS:
                with contextlib.suppress(OSError):
                    full = Unavailable(f"The daemon serves {MAX_CONNECTIONS} connections already. Close some.")
                    peer.send(protocol.failed(None, full.message, data=facts_of(full)))
                peer.close()
                continue
            self._connections.add(connection)
            self._selector.register(peer, selectors.EVENT_READ, connection)

    def _pause_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self._selector.unregister(self._listening)

    def _resume_accepting(self) -> None:
        if not self._accepting:
            self._accepting = True
            self._selector.register(self._listening, selectors.EVENT_READ)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._awake.recv(4096):
                pass

    def _serve(self, connection: Connection, events: int) -> None:
        if connection.closed:
            return
        try:
            if events & selectors.EVENT_READ:
                block = connection.socket.recv(_READ)
                if not block:
                    self._close(connection)
                    return
                connection.received += block
                self._lines(connection)
            if events & selectors.EVENT_WRITE:
                connection.flush()
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        except Exception:
            # Whatever somebody managed to say: it ends this connection, not the daemon.
            log.exception("connection %d is given up", connection.number)
            self._close(connection)
            return
        self._settle(connection)

    def _lines(self, connection: Connection) -> None:
        received = connection.received
        while connection.pending < _MAX_PENDING and not connection.last_line and not self._stopping:
            end = received.find(b"\n", connection.searched)
            if end > MAX_LINE or (end < 0 and len(received) > MAX_LINE):
                self._refuse(connection, f"A line has at most {MAX_LINE} bytes.")
                return
            if end < 0:
                connection.searched = len(received)
                return
            line = bytes(received[:end])
            del received[: end + 1]
            connection.searched = 0
            if line.strip():
                self._line(connection, line)

    def _refuse(self, connection: Connection, message: str) -> None:
        """Say why, and hang up once that is out."""
        connection.received.clear()
        connection.last_line = True
        connection.send(protocol.failed(None, message, number=protocol.NO_REQUEST, data=facts_of(Malformed(message))))

    def _line(self, connection: Connection, line: bytes) -> None:
        try:
            message = protocol.decode(line)
        except Unreadable as error:
            connection.send(protocol.failed(error.id, error.message, number=error.number))
            return
        if message.method is None or message.id is None:
            # An answer nobody asked for, or a notification: there are none that a client may send.
            return
        connection.asked()
        self._pool.submit(self._work, connection, message)

    def _work(self, connection: Connection, message: Message) -> None:
        assert message.id is not None
        assert message.method is not None
        try:
            found = self._answer(connection, message.method, message.params or {})
            line = protocol.result(message.id, found)
        except Unreadable as error:
            line = protocol.failed(message.id, error.message, number=error.number)
        except EntrepotError as error:
            line = protocol.failed(message.id, error.message, data=facts_of(error))
        except Exception as error:
            log.exception("%s failed", message.method)
            text = (
                f"Something unforeseen: {type(error).__name__}: {error}. `entrepot daemon logs` says where; report it."
            )
            line = protocol.failed(message.id, text, data={"code": "internal"})
        connection.answered(line)

    def _write_out(self, *, everybody: bool = False) -> None:
        with self._dirty_lock:
            dirty, self._dirty = (set(self._connections) if everybody else self._dirty), set()
        for connection in dirty:
            if connection.closed:
                continue
            try:
                connection.flush()
                # Lines that waited for a free place among its unanswered ones.
                self._lines(connection)
            except OSError:
                self._close(connection)
                continue
            except Exception:
                log.exception("connection %d is given up", connection.number)
                self._close(connection)
                continue
            self._settle(connection)

    def _settle(self, connection: Connection) -> None:
        """What to listen for next; or the end of a connection that is done with."""
        if connection.closed:
            return
        if connection.behind > _MAX_UNREAD or (connection.last_line and not connection.unsent):
            self._close(connection)
            return
        wanted = selectors.EVENT_WRITE if connection.unsent else 0
        # Who has enough unanswered, or only its last words left, is not heard; an answer of its own will wake it.
        if connection.pending < _MAX_PENDING and not connection.last_line:
            wanted |= selectors.EVENT_READ
        try:
            known = self._selector.get_key(connection.socket).events
        except KeyError:
            known = 0
        if wanted == known:
            return
        if not wanted:
            self._selector.unregister(connection.socket)
        elif known:
            self._selector.modify(connection.socket, wanted, connection)
        else:
            self._selector.register(connection.socket, wanted, connection)

    def _hang_up_on_the_silent(self) -> None:
        now = time.monotonic()
        for connection in list(self._connections):
            if not connection.greeted and now - connection.since > _HELLO_S:
                self._close(connection)
        if self._connections:
            self.quiet_since = now
        self._resume_accepting()

    def _close(self, connection: Connection) -> None:
        if connection.closed:
            return
        connection.closed = True
        self._connections.discard(connection)
        self.quiet_since = time.monotonic()
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.socket.close()
        self._gone(connection)
