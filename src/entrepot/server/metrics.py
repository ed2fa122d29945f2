"""What Prometheus reads at /metrics: the HTTP side, and the house behind it.

One process keeps its numbers itself. Several write them to files that whichever is asked adds up.
"""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from entrepot._version import __version__
from entrepot.depot.context import Depot
from entrepot.http.metrics import HttpMetrics
from entrepot.server.config import Config


class Metrics:
    """The numbers of this process, and how they are written."""

    def __init__(self, config: Config, depot: Depot) -> None:
        self._config = config
        self._depot = depot
        self._registry = CollectorRegistry()
        self.http = HttpMetrics(self._registry)
        info = Gauge("entrepot_build_info", "Always 1.", ("version",), registry=self._registry, multiprocess_mode="max")
        info.labels(__version__).set(1)
        self._wal = Gauge(
            "entrepot_catalog_wal_bytes",
            "Write-ahead log of the SQLite catalogue.",
            registry=self._registry,
            multiprocess_mode="max",
        )
        self._free = Gauge(
            "entrepot_data_free_bytes",
            "Room left where the data folder lies.",
            registry=self._registry,
            multiprocess_mode="min",
        )

    def write(self) -> tuple[bytes, str]:
        """The text of /metrics and its media type. Reads the disk: for worker threads."""
        self._wal.set(self._depot.catalog.wal_size())
        room = os.statvfs(self._config.data)
        self._free.set(room.f_bavail * room.f_frsize)
        registry = self._registry
        if self._config.workers > 1:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
