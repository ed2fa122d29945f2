"""A depot with nothing but its first user, that this process has open while workers of their own do its jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from entrepot.depot import bootstrap
from entrepot.depot.context import Depot
from entrepot.server import commands, compose
from tests.support.server import ADMIN_PASSWORD, CHEAP


@contextlib.contextmanager
def own_depot(folder: Path, *settings: str) -> Iterator[tuple[Depot, list[str]]]:
    """The depot, and the words that tell a command where it is.

    Args:
        settings: `NAME=VALUE` of any setting, for this process and for the commands.
    """
    data, given = str(folder / "data"), (*CHEAP, *settings)
    with compose.open_depot(commands.load_config({"data": data}, given, environ={}), upgrade=True) as depot:
        bootstrap.bootstrap(depot, admin_password=ADMIN_PASSWORD)
        yield depot, ["--data", data, *(word for one in given for word in ("--set", one))]
