"""The client's end of a connection to the daemon."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from entrepot.daemon import protocol
from entrepot.daemon.link import Link


def test_a_connection_that_takes_nothing_is_used_no_more(tmp_path: Path) -> None:
    """Whoever was told that the daemon has gone connects anew, also before the end of its answers was seen."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d.sock"))
        listener.listen()
        accepted: list[socket.socket] = []

        def greet() -> None:
            one, _ = listener.accept()
            accepted.append(one)
            with one.makefile("rb") as lines:
                hello = protocol.decode(lines.readline())
            assert hello.id is not None
            one.sendall(protocol.result(hello.id, {"protocol": protocol.PROTOCOL}))
            # From now on what is sent is refused, while nothing says that no answer comes.
            one.shutdown(socket.SHUT_RD)

        thread = threading.Thread(target=greet)
        thread.start()
        link = Link(tmp_path / "d.sock", 60)
        thread.join()
        try:
            assert link.usable
            with pytest.raises(ConnectionResetError):
                link.call("ping", {}, 60)
            assert not link.usable
        finally:
            link.close()
            accepted[0].close()
