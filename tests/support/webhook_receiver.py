"""A receiver of webhooks as a process of its own, that behaves as its path says and writes down what came.

    python -m tests.support.webhook_receiver LOG SEED PORT

One line of JSON for each request, before it is answered: path, id, type, event, dataset, item and what was done.

    /good      200                       /flaky     by chance 200, 500, or hung up after it was written down
    /broken    500                       /redirect  307 to /stolen
    /slow      nothing for a minute      /endless   200 and a body without end
    /hangup    closed without a word
"""

from __future__ import annotations

import json
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any

from entrepot import webhooks

SECRET = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


class Receiver(BaseHTTPRequestHandler):
    log: IO[str]
    chance: random.Random
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = webhooks.verify(SECRET, self.headers, body)
        with self.lock:
            done = self.path.removeprefix("/")
            if done == "flaky":
                done = self.chance.choice(["good"] * 6 + ["broken", "hangup"])
            data: dict[str, Any] = message["data"]
            said = {
                "path": self.path,
                "id": self.headers["webhook-id"],
                "type": message["type"],
                "event": data.get("event"),
                "dataset": (data.get("dataset") or {}).get("id"),
                "item": data.get("n"),
                "done": done,
            }
            self.log.write(json.dumps(said) + "\n")
            self.log.flush()
        getattr(self, done)()

    def good(self) -> None:
        self._say(200)

    def broken(self) -> None:
        self._say(500)

    def stolen(self) -> None:
        self._say(200)

    def redirect(self) -> None:
        self.send_response(307)
        self.send_header("Location", "/stolen")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def slow(self) -> None:
        threading.Event().wait(60)

    def hangup(self) -> None:
        self.close_connection = True

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 65536)

    def _say(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever hangs up on us is part of the test."""


def main(log: str, seed: str, port: str) -> None:
    Receiver.chance = random.Random(int(seed))
    with open(log, "a") as Receiver.log:
        Quiet(("127.0.0.1", int(port)), Receiver).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
