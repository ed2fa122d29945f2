"""The one place that picks backends: catalogue and store, and the depot around them.

The doors are put around the depot by `server.house`, which commands, workers and the supervisor need not import.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from entrepot.catalog import contents
from entrepot.catalog.database import Catalog
from entrepot.datatypes.registry import Registry
from entrepot.depot import bootstrap, record_checks, table_checks
from entrepot.depot.context import Clock, Depot, wall_clock
from entrepot.http.courier import NetworkCourier
from entrepot.http.fetching import NetworkFetcher
from entrepot.jobs.nudge import nudge
from entrepot.model.endpoints import parse_endpoint
from entrepot.model.errors import Unavailable, Unsupported
from entrepot.model.values import Kind
from entrepot.server import datadir
from entrepot.server.config import Config
from entrepot.server.examining import ChildExaminer
from entrepot.server.tabling import Processes
from entrepot.store.base import ObjectStore, Staging
from entrepot.store.filesystem import FilesystemStore

WORKERS = "workers"
#: Where tables are spilled to, below the folder of what runs.
TABLES = "tables"


@contextlib.contextmanager
def open_depot(config: Config, *, clock: Clock = wall_clock, upgrade: bool = False) -> Iterator[Depot]:
    """The depot of a data folder, beside a running server or without one.

    Args:
        upgrade: Bring the catalogue to this program's schema first.

    Raises:
        Unavailable: The folder or the database cannot be used.
        Unsupported: A newer Entrepot wrote the catalogue.
    """
    with contextlib.ExitStack() as stack:
        datadir.prepare(config.data)
        run = config.data / datadir.RUN
        catalog = Catalog.open(config.catalog, clock=clock, gate_dir=run)
        stack.callback(catalog.close)
        if upgrade:
            catalog.upgrade()
        store, staging = stack.enter_context(open_store(config))
        depot = Depot(
            catalog=catalog,
            store=store,
            staging=staging,
            secret=config.secret_key or datadir.secret_key(config.data),
            clock=clock,
            limits=config.limits,
            policy=config.policy,
            wake=waker(run / WORKERS),
            courier=NetworkCourier(config.webhook_rules(), timeout_s=config.policy.webhook_timeout.total_seconds()),
            fetcher=NetworkFetcher(
                None if config.policy.sample_source is None else parse_endpoint(config.policy.sample_source).host
            ),
            public_url=config.public_url,
            types=Registry(config.added_types()),
        )
        workshop = Processes(store, run / TABLES, config.limits)
        stack.callback(workshop.close)
        depot.workshop = workshop
        depot.checkers = {
            Kind.RECORDS.value: record_checks.checker(depot),
            Kind.TABLE.value: table_checks.checker(depot),
        }
        if os.name == "posix":
            examiner = ChildExaminer(
                json.loads(config.data_types), memory=config.examine_memory, seconds=config.examine_time_s
            )
            stack.callback(examiner.close)
            depot.examiner = examiner
        yield depot


@contextlib.contextmanager
def open_store(config: Config) -> Iterator[tuple[ObjectStore, Staging]]:
    """Where bytes are kept, and where uploads grow.

    Raises:
        Invalid: The setting `store` is no address of a bucket.
        Unsupported: The library for buckets is not installed.
    """
    local = FilesystemStore(config.data)
    try:
        if config.store is None:
            yield local, local.staging
            return
        try:
            from entrepot.store.s3 import S3Address, S3Store
            from entrepot.store.s3_staging import S3Staging
        except ModuleNotFoundError as missing:
            raise Unsupported(
                f"The setting store={config.store!r} needs {missing.name}: pip install 'entrepot[server,s3]'."
            ) from missing
        bucket = S3Store(
            S3Address(
                config.store,
                endpoint=config.s3_endpoint,
                public_endpoint=config.s3_public_endpoint,
                region=config.s3_region,
                key_id=config.s3_key_id,
                secret=config.s3_secret,
                path_style=config.s3_path_style,
            )
        )
        yield bucket, S3Staging(bucket, local.staging)
    finally:
        local.close()


def require_store(depot: Depot) -> None:
    """Refuse a catalogue whose bytes lie in a store of another name.

    Raises:
        Unavailable: Bytes are elsewhere; the message says where.
    """
    with depot.catalog.read() as conn:
        other = contents.other_store(conn, depot.store.name)
    if other is not None:
        raise Unavailable(
            f"The bytes of this catalogue are in the store {other!r}, and the setting `store` means "
            f"{depot.store.name!r}. Set it back; or move: `entrepot backup`, then `entrepot restore-backup` into an "
            "empty folder with the new setting."
        )


def waker(folder: Path) -> Callable[[str], None]:
    """Wakes the workers of this machine when there is work; they would look by themselves a moment later."""

    def wake(_queue: str) -> None:
        nudge(folder)

    return wake


def first_start(depot: Depot, environ: Mapping[str, str]) -> bootstrap.Started:
    """Make the installation, its standard licences and its administrator, unless they are there."""
    return bootstrap.bootstrap(depot, admin_password=environ.get("ENTREPOT_ADMIN_PASSWORD") or None)
