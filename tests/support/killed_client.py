"""A client in a process of its own that says every step it takes, so that it can be killed at any of them.

    python killed_client.py push FOLDER TARGET
    python killed_client.py pull TARGET FOLDER
    python killed_client.py import URL PASSWORD PROJECT      from a server of UFDL, as its administrator

One line for every request, every block that leaves or arrives, and every answer; `done` at the end. The address and
the token come from the environment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import httpx2

from entrepot.client.client import Client
from entrepot.client.ufdl.importing import Options, import_ufdl
from entrepot.client.ufdl.source import Source


def say(step: str) -> None:
    sys.stdout.write(f"{step}\n")
    sys.stdout.flush()


class Talking(httpx2.HTTPTransport):
    """The network, with every step said aloud."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        say("ask")
        if isinstance(request.stream, httpx2.SyncByteStream):
            request.stream = _Said(request.stream, "sent")
        answer = super().handle_request(request)
        say("answered")
        assert isinstance(answer.stream, httpx2.SyncByteStream)
        answer.stream = _Said(answer.stream, "received")
        return answer


class _Said(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, step: str) -> None:
        self._stream = stream
        self._step = step

    def __iter__(self) -> Iterator[bytes]:
        for block in self._stream:
            yield block
            say(self._step)

    def close(self) -> None:
        self._stream.close()


def main() -> None:
    how, source, target = sys.argv[1:4]
    with Client(transport=Talking()) as client:
        if how == "push":
            client.data.push(source, target)
        elif how == "import":
            with Source(source, "admin", target, transport=Talking()) as origin:
                done = import_ufdl(client, origin, Options(projects=sys.argv[4:], trashed=True))
            assert done.complete, done.troubles
        else:
            client.data.download(source, target)
    say("done")


if __name__ == "__main__":
    main()
