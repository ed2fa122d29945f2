"""The doors around a depot, as one ASGI application: what a process that answers requests is."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from entrepot.depot.context import Clock, Depot, wall_clock
from entrepot.dialects.benchling import app as benchling
from entrepot.dialects.datature import app as datature
from entrepot.dialects.flow import app as flow
from entrepot.dialects.native.app import create_app
from entrepot.dialects.native.context import Context
from entrepot.dialects.ufdl import app as ufdl
from entrepot.http.hosts import Hosts
from entrepot.http.middleware import Edge
from entrepot.http.objects import objects_app
from entrepot.server import doctor
from entrepot.server.compose import open_depot
from entrepot.server.config import Config
from entrepot.server.metrics import Metrics
from entrepot.server.operations import Operations
from entrepot.server.root import Root
from entrepot.web import app as web
from entrepot.web.oidc import Provider


@dataclass(frozen=True, slots=True)
class House:
    """A process that answers requests.

    Args:
        draining: Set it, in the event loop, when the server is about to end.
    """

    depot: Depot
    app: ASGIApp
    draining: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.contextmanager
def open_house(config: Config, *, clock: Clock = wall_clock) -> Iterator[House]:
    """Everything behind one application. The catalogue is upgraded and the first start done by then.

    Raises:
        As `open_depot`.
    """
    with contextlib.ExitStack() as stack:
        depot = stack.enter_context(open_depot(config, clock=clock))
        executor = ThreadPoolExecutor(config.threads, thread_name_prefix="depot")
        stack.callback(executor.shutdown, wait=True, cancel_futures=True)
        yield assemble(config, depot, executor)


def assemble(config: Config, depot: Depot, executor: ThreadPoolExecutor) -> House:
    """The doors that the settings open, around a depot."""
    draining = asyncio.Event()
    hosts = Hosts(public_url=config.public_url, allowed=config.names_of_this_host(), proxies=config.trusted_proxies)
    metrics = Metrics(config, depot)
    doors: dict[str, ASGIApp] = {"objects": objects_app(depot, executor)}
    if "native" in config.doors:
        doors["native"] = create_app(
            Context(
                depot=depot,
                executor=executor,
                hosts=hosts,
                doors=config.doors,
                json_body=config.json_body,
                json_depth=config.json_depth,
                draining=draining,
            )
        )
    if "benchling" in config.doors:
        doors["benchling"] = benchling.create_app(
            benchling.Context(depot, executor, hosts, json_body=config.json_body, json_depth=config.json_depth)
        )
    if "datature" in config.doors:
        doors["datature"] = datature.create_app(
            datature.Context(depot, executor, hosts, json_body=config.json_body, json_depth=config.json_depth)
        )
    if "flow" in config.doors:
        doors["flow"] = flow.create_app(
            flow.Context(depot, executor, hosts, json_body=config.json_body, json_depth=config.json_depth)
        )
    if "ufdl" in config.doors:
        doors["ufdl"] = ufdl.create_app(
            ufdl.Context(depot, executor, hosts, json_body=config.json_body, json_depth=config.json_depth)
        )
    if "web" in config.doors:
        doors["web"] = web.create_app(
            web.Context(
                depot,
                executor,
                hosts,
                doors=config.doors,
                health=lambda: doctor.examine_open(config, depot),
                oidc=None if config.oidc.issuer is None else Provider(config.oidc, depot.now),
            )
        )
    operations = Operations(depot, executor, metrics, draining)
    root = Root(doors, operations)
    edge = Edge(
        root,
        new_id=lambda: uuid.uuid4().hex,
        door_of=root.door_of,
        metrics=metrics.http,
        hosts=hosts,
        access_log=config.access_log,
    )
    return House(depot, edge, draining)
