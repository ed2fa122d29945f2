"""kill -9 of a client that pushes or pulls, at random steps, again and again: what is at the server, and here?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.client.client import Client
from tests.support.client_kills import Child, at_server, attack, attack_pull, write
from tests.support.kills import examine
from tests.support.server import Server, running_server

#: Real kills take minutes on a busy machine; their sample joins the quick tier once it was timed on a quiet one.
pytestmark = pytest.mark.soak


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


def test_a_killed_push_is_there_wholly_or_not_at_all(
    server: Server, token: str, client: Client, tmp_path: Path
) -> None:
    project, child = client.projects.create("Killed pushes").slug, Child(server, token)
    (tmp_path / "tree").mkdir()
    attack(child, client, tmp_path / "tree", f"{project}/birds", random.Random(3), kills=3)
    examine(server.data, dead=False)


def test_a_killed_pull_leaves_no_half_file_under_its_name(
    server: Server, token: str, client: Client, tmp_path: Path
) -> None:
    project, child, chance = client.projects.create("Killed pulls").slug, Child(server, token), random.Random(4)
    tree = {f"f{n}.bin": chance.randbytes(400_000) for n in range(6)}
    (tmp_path / "tree").mkdir()
    write(tmp_path / "tree", tree)
    client.data.push(tmp_path / "tree", f"{project}/birds")
    attack_pull(child, tmp_path / "copy", f"{project}/birds", chance, tree, kills=2)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(30))
def test_killed_again_and_again(server: Server, token: str, client: Client, tmp_path: Path, seed: int) -> None:
    project, child, chance = client.projects.create(f"Soaked {seed}").slug, Child(server, token), random.Random(seed)
    (tmp_path / "tree").mkdir()
    attack(child, client, tmp_path / "tree", f"{project}/birds", chance, kills=12)
    tree = at_server(client, f"{project}/birds")[-1]
    attack_pull(child, tmp_path / "copy", f"{project}/birds", chance, tree, kills=8)
    examine(server.data, dead=False)
