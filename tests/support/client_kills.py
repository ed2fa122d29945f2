"""Clients that are killed while they push and pull, and what must be true at the server and here after each kill."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from entrepot.client.client import Client
from entrepot.model.errors import NotFound
from tests.support.server import Server, environ
from tests.support.starter import Started

CHILD = Path(__file__).resolve().parent / "killed_client.py"
Tree = dict[str, bytes]


class Child:
    """A client that is killed after a number of steps, or left alone."""

    def __init__(self, server: Server, token: str) -> None:
        self._around = environ(ENTREPOT_URL=server.url, ENTREPOT_TOKEN=token)
        self.kills = 0

    def run(self, *arguments: str, steps: int | None) -> int | None:
        """How many steps it took to the end; None when it was killed before."""
        process = Started([sys.executable, str(CHILD), *arguments], stdout=subprocess.PIPE, text=True, env=self._around)
        assert process.stdout is not None
        with process.stdout:
            taken = 0
            while line := process.stdout.readline():
                if line == "done\n":
                    process.stdout.read()
                    assert process.wait() == 0
                    return taken
                taken += 1
                if taken == steps:
                    process.kill()
                    process.wait()
                    self.kills += 1
                    return None
        raise AssertionError(f"the client ended by itself with {process.wait()} after {taken} steps")


def write(root: Path, tree: Tree) -> None:
    for place in sorted(root.rglob("*"), reverse=True):
        if place.is_file() and str(place.relative_to(root)) not in tree:
            place.unlink()
    for path, content in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def at_server(client: Client, target: str) -> list[Tree]:
    """Every revision there is, as whole trees; none while the dataset does not exist."""
    try:
        record = client.versions.get(target)
    except NotFound:
        return []
    found = []
    for number in range(record.revision + 1):
        thing = f"{target}@{record.number}.{number}"
        paths = [entry.path for entry in client.data.list(thing)]
        found.append({path: client.data.read_bytes(thing, path) for path in paths})
    return found


def edited(chance: random.Random, tree: Tree, step: int) -> Tree:
    """Another state of the tree: something goes, moves, changes and comes."""
    after, paths = dict(tree), sorted(tree)
    gone, moved, changed = chance.sample(paths, 3)
    del after[gone]
    after[f"moved/{step}.bin"] = after.pop(moved)
    after[changed] = chance.randbytes(1000)
    after[f"new/{step}.bin"] = chance.randbytes(50_000)
    return after


def attack(child: Child, client: Client, folder: Path, target: str, chance: random.Random, kills: int) -> None:
    """Push state after state; each push is killed some times, at steps drawn from how many a push usually takes."""
    tree = {f"d{n % 3}/f{n}.bin": chance.randbytes(chance.randrange(0, 300_000)) for n in range(8)}
    # Beyond what is sent in one piece, so that there is an upload to go on with.
    tree["large.bin"] = chance.randbytes(9 << 20)
    acknowledged: list[Tree] = []
    for state in range(max(1, kills // 3)):
        write(folder, tree)
        usual = 300 if state == 0 else 60
        for _ in range(min(3, kills)):
            child.run("push", str(folder), target, steps=chance.randrange(1, usual))
            now = at_server(client, target)
            # Made and still empty, not yet made, or all of it: nothing in between.
            assert now in ([], [{}], [{}, *acknowledged], [{}, *acknowledged, tree])
        child.run("push", str(folder), target, steps=None)
        acknowledged.append(tree)
        assert at_server(client, target) == [{}, *acknowledged]
        tree = edited(chance, tree, state)


def attack_pull(child: Child, folder: Path, target: str, chance: random.Random, tree: Tree, kills: int) -> None:
    for _ in range(kills):
        child.run("pull", target, str(folder), steps=chance.randrange(1, 60))
        # What has its name is whole; what is not whole does not have its name yet.
        for path, content in tree.items():
            if (folder / path).exists():
                assert (folder / path).read_bytes() == content, path
    child.run("pull", target, str(folder), steps=None)
    assert {path: (folder / path).read_bytes() for path in tree} == tree
