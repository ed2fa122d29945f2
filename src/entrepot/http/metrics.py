"""Counters of the HTTP side for Prometheus: by door, method and status, never by path.

A path is the client's choice, and each new one would be a time series for ever.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["HttpMetrics"]

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: From a small JSON read to a large upload.
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class HttpMetrics:
    """The metrics of one process. With several processes `prometheus_client` adds them up in its multiprocess mode.

    Args:
        registry: Where they are registered; one registry takes one of these.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("door", "method")
        self._requests = Counter(
            "entrepot_http_requests", "Requests that were answered.", (*labels, "status"), registry=registry
        )
        self._seconds = Histogram(
            "entrepot_http_request_seconds",
            "From the head of a request to the end of its answer.",
            labels,
            registry=registry,
            buckets=_SECONDS,
        )
        self._received = Counter("entrepot_http_received_bytes", "Bytes of request bodies.", labels, registry=registry)
        self._sent = Counter(
            "entrepot_http_sent_bytes", "Bytes of answers, heads not counted.", labels, registry=registry
        )
        self._in_flight = Gauge(
            "entrepot_http_requests_in_flight",
            "Requests that are being answered.",
            labels,
            registry=registry,
            multiprocess_mode="livesum",
        )

        # Looking one up by its labels takes as long as counting with all of them.
        self._of_status = lru_cache(maxsize=4096)(self._requests.labels)
        self._of_door = lru_cache(maxsize=1024)(self._labelled)

    def _labelled(self, door: str, method: str) -> tuple[Gauge, Histogram, Counter, Counter]:
        return (
            self._in_flight.labels(door, method),
            self._seconds.labels(door, method),
            self._received.labels(door, method),
            self._sent.labels(door, method),
        )

    def begin(self, door: str, method: str) -> None:
        """A request has arrived."""
        self._of_door(door, _known(method))[0].inc()

    def end(self, door: str, method: str, status: int, seconds: float, received: int, sent: int) -> None:
        """The request that began is over.

        Args:
            status: 499 if the client left before there was an answer.
            received, sent: Bytes of both bodies.
        """
        method = _known(method)
        in_flight, took, came, went = self._of_door(door, method)
        in_flight.dec()
        self._of_status(door, method, str(status)).inc()
        took.observe(seconds)
        came.inc(received)
        went.inc(sent)


def _known(method: str) -> str:
    # A client may invent methods, too.
    return method if method in _METHODS else "other"
