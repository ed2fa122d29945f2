"""What Prometheus reads at /metrics: the HTTP side, and the house behind it.

One process keeps its numbers itself. Several write them to files that whichever is asked adds up.
"""

from __future__ import annotations

import os
from datetime import timedelta

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from entrepot._version import __version__
from entrepot.depot import background, checking
from entrepot.depot.context import Depot
from entrepot.http.metrics import HttpMetrics
from entrepot.jobs.presence import alive
from entrepot.server import compose, datadir
from entrepot.server.config import Config

#: A worker whose loop, which takes half a second, did not come round for so long hangs.
_WORKER_SILENT = timedelta(seconds=30)


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

        self._jobs = Gauge(
            "entrepot_jobs",
            "Background work that waits or runs.",
            ("queue", "state"),
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._waiting = Gauge(
            "entrepot_jobs_waiting_seconds",
            "How long the job that waits longest could have run.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._damaged = Gauge(
            "entrepot_damaged_contents",
            "Contents whose stored bytes are known to be wrong.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._deliveries = Gauge(
            "entrepot_webhook_deliveries_waiting",
            "Deliveries to webhooks that wait for their first or next attempt.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._disabled = Gauge(
            "entrepot_webhooks_disabled",
            "Webhooks that are switched off.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._workers = Gauge(
            "entrepot_workers",
            "Processes for background work that are alive on this machine.",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )

    def workers(self) -> int:
        """Workers of this machine that are alive, and whose loop still comes round."""
        folder = self._config.data / datadir.RUN / compose.WORKERS
        oldest = self._depot.now() - _WORKER_SILENT
        return sum(seen.at > oldest for seen in alive(folder))

    def write(self) -> tuple[bytes, str]:
        """The text of /metrics and its media type. Reads the disk: for worker threads."""
        self._wal.set(self._depot.catalog.wal_size())
        room = os.statvfs(self._config.data)
        self._free.set(room.f_bavail * room.f_frsize)
        self._damaged.set(checking.count_damaged(self._depot))
        self._write_jobs()
        registry = self._registry
        if self._config.workers > 1:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def _write_jobs(self) -> None:
        self._workers.set(self.workers())
        backlog = background.backlog(self._depot)
        self._waiting.set(backlog.waiting.total_seconds())
        self._deliveries.set(backlog.deliveries)
        self._disabled.set(backlog.webhooks_disabled)
        for queue in background.QUEUES:
            for state in ("ready", "running"):
                self._jobs.labels(queue, state).set(backlog.jobs.get((queue, state), 0))
