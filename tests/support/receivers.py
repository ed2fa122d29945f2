"""Receivers of webhooks: one that keeps what it is given, in the place of the network."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from entrepot import webhooks as signing
from entrepot.depot import background
from entrepot.depot.context import Depot
from entrepot.depot.outgoing import Answered
from entrepot.jobs.runner import Runner
from entrepot.model.endpoints import AddressRules, Endpoint, parse_address

OK = Answered(200, None, "thanks", 0.01)
BROKEN = Answered(500, None, "out of order", 0.01)
SILENT = Answered(None, "example.org did not answer within 10 s.")


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    endpoint: Endpoint
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        return str(self.message["type"])

    @property
    def data(self) -> Any:
        return self.message["data"]

    @property
    def id(self) -> str:
        return self.headers[signing.ID]


@dataclass
class Receiver:
    """Everything outside, as the depot knows it.

    Args:
        answers: What to say to a request.
    """

    answers: Callable[[Got], Answered] = lambda _got: OK
    got: list[Got] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, endpoint: Endpoint) -> None:
        address = parse_address(endpoint.host)
        AddressRules().judge(endpoint, [] if address is None else [address])

    def post(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> Answered:
        got = Got(endpoint, headers, body)
        with self._lock:
            self.got.append(got)
        return self.answers(got)

    def kinds(self) -> list[str]:
        return [one.kind for one in self.got]

    def refusing(self, *kinds: str) -> None:
        """From now on answer these with 500, everything else with 200."""
        self.answers = lambda got: BROKEN if got.kind in kinds or "*" in kinds else OK


def runner(depot: Depot, queue: str = "webhooks", worker: str = "w") -> Runner:
    return Runner(depot.catalog, background.kinds(depot), queue=queue, worker=worker, look_every_s=0.01)


def work_off(depot: Depot, queue: str = "webhooks") -> None:
    """Run all jobs that are due."""
    one = runner(depot, queue)
    while one.step():
        pass
