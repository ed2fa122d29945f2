"""kill -9 of a client that pushes or pulls, at random steps, again and again: what is at the server, and here?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.client.client import Client
from tests.support.client_kills import Child, at_server, attack, attack_pull
from tests.support.examine import examine
from tests.support.scripts import run_script
from tests.support.server import Server, running_server


def test_a_killed_push_is_there_wholly_or_not_at_all_and_a_killed_pull_has_no_half_file(tmp_path: Path) -> None:
    """Clients and servers are killed in turn; a client goes on by itself when its server is back."""
    said = run_script("killed_transfers", str(tmp_path), "7", "4")
    for who in ("client that pushes", "client that pulls", "server during a push", "server during a pull"):
        assert said["kills"].get(who, 0) >= 1, f"the kills did not hit a {who}: {said}"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(30))
def test_killed_at_very_many_steps(tmp_path: Path, seed: int) -> None:
    run_script("killed_transfers", str(tmp_path), str(100 + seed), "30")


# The same with programs of their own and a whole server, as people run them.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("clients") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return server.token(scope="write")


@pytest.fixture
def client(server: Server, token: str) -> Iterator[Client]:
    with Client(server.url, token) as connected:
        yield connected


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_killed_again_and_again(server: Server, token: str, client: Client, tmp_path: Path, seed: int) -> None:
    project, child, chance = client.projects.create(f"Soaked {seed}").slug, Child(server, token), random.Random(seed)
    (tmp_path / "tree").mkdir()
    attack(child, client, tmp_path / "tree", f"{project}/birds", chance, kills=12)
    tree = at_server(client, f"{project}/birds")[-1]
    attack_pull(child, tmp_path / "copy", f"{project}/birds", chance, tree, kills=8)
    examine(server.data, dead=False)
