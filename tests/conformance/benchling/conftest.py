"""One server for both clients, which live as long as the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from entrepot.model.values import Scope
from entrepot.server import commands
from tests.conformance.benchling.clients import CURRENT, OLD, Client, Place, driven, python_of
from tests.support.proxies import losing_proxy
from tests.support.server import running_server


@pytest.fixture(scope="package")
def whole_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    for name in (OLD, CURRENT):
        if not python_of(name).exists():
            pytest.skip(f"the environment of the client is missing: scripts/client-env {name}")
    data = tmp_path_factory.mktemp("server")
    with running_server(data) as server, losing_proxy(server.url) as proxy:
        settings = commands.load_config({"data": str(data)}, environ={})
        made = commands.create_token(settings, "admin", Scope.ADMIN)
        yield Place(server, made.text, made.id, proxy)


@pytest.fixture
def place(whole_place: Place) -> Place:
    """The server with a project that nobody has used yet."""
    whole_place.new_project()
    return whole_place


@pytest.fixture(scope="package")
def old(whole_place: Place) -> Iterator[Client]:
    """The client in which data frames are called datasets."""
    with driven(OLD, whole_place.proxy.url, {"key": whole_place.key}) as client:
        yield client


@pytest.fixture(scope="package")
def current(whole_place: Place) -> Iterator[Client]:
    """The client of today."""
    with driven(CURRENT, whole_place.proxy.url, {"key": whole_place.key}) as client:
        yield client
