"""Pushes and pulls whose client or server is killed at chosen steps: what is at the server then, and what is here?

    python -m tests.support.killed_transfers FOLDER SEED KILLS

A killed server is started again and the client goes on by itself; a killed client is started again by somebody. In the
end every push is there once, and every pull is whole. The last line is a JSON object of what was counted.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

from entrepot.client.client import Client
from tests.support.client_kills import Tree, at_server, edited, write
from tests.support.examine import examine
from tests.support.forked import Forked, ForkedServer, Steps


class Transfers:
    def __init__(self, folder: Path, seed: int) -> None:
        self.server = ForkedServer(folder / "data")
        self.server.start()
        self.chance = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.client_steps = Steps()
        self.folder = folder
        self.target = "kills/rehearsal"
        #: Steps of the last push or pull that nobody disturbed.
        self.usual = {"client": 0, "server": 0}
        (folder / "tree").mkdir()
        with self.client() as client:
            client.projects.create("Kills", slug="kills")

    def client(self) -> Client:
        return Client(self.server.url, self.server.token)

    def push(self) -> None:
        with self.client() as client:
            client.data.push(self.folder / "tree", self.target)

    def pull(self) -> None:
        with self.client() as client:
            client.data.download(self.target, self.folder / "copy")

    def run(self, name: str, victim: str | None, at: int, only: str = "") -> bool:
        """Run a client to its end; whether it came there. The victim, `client` or `server`, dies at its n-th step."""
        self.client_steps.arm(at if victim == "client" else 0, only)
        self.server.steps.arm(at if victim == "server" else 0, only)

        def work() -> None:
            self.client_steps.watch()
            self.push() if name == "push" else self.pull()

        client, server = Forked(work), self.server.process
        assert server is not None
        client.wait_or(server)
        if server.is_set():
            self.kills[f"server during a {name}"] += 1
            examine(self.server.data, dead=True)
            self.server.steps.arm(0)
            self.server.start()
        assert client.wait(), "a client does not end"
        if victim is None:
            self.usual = {"client": self.client_steps.made, "server": self.server.steps.made}
        self.server.steps.arm(0)
        if client.status == -signal.SIGKILL:
            self.kills["client that pushes" if name == "push" else "client that pulls"] += 1
        else:
            assert client.status == 0, f"a client ended with {client.status}"
        return client.status == 0

    def pushes(self, kills: int) -> Tree:
        """State after state of a tree, each push killed again and again; the last state."""
        tree = {f"d{n % 3}/f{n}.bin": self.chance.randbytes(self.chance.randrange(0, 100_000)) for n in range(6)}
        # Beyond what is sent in one piece, so that there is an upload to go on with.
        tree["large.bin"] = self.chance.randbytes(9 << 20)
        known: list[Tree] = []
        write(self.folder / "tree", tree)
        assert self.run("push", None, 0)
        self.target = "kills/birds"
        while True:
            write(self.folder / "tree", tree)
            for victim in ("client", "server"):
                done = kills > 0 and self.run("push", victim, self._point(victim))
                kills -= 1
                with self.client() as client:
                    now = at_server(client, self.target)
                # Made and still empty, not yet made, or all of it: nothing in between.
                assert now in ([], [{}], [{}, *known], [{}, *known, tree])
                assert not done or now == [{}, *known, tree], "what was acknowledged is not there"
            assert self.run("push", None, 0)
            known.append(tree)
            with self.client() as client:
                assert at_server(client, self.target) == [{}, *known]
            if kills <= 0:
                return tree
            tree = edited(self.chance, tree, len(known))

    def _point(self, victim: str) -> int:
        """A step of the victim; of the server one before the commit, whose key it would hold for a minute."""
        return self.chance.randint(1, max(1, int(self.usual[victim] * (1.0 if victim == "client" else 0.7))))

    def pulls(self, kills: int, tree: Tree) -> None:
        copy = self.folder / "copy"
        assert self.run("pull", None, 0)
        shutil.rmtree(copy)
        for n in range(kills):
            victim = ("client", "server")[n % 2]
            if self.run("pull", victim, self._point(victim)):
                assert {path: (copy / path).read_bytes() for path in tree} == tree
                shutil.rmtree(copy)
            # What has its name is whole; what is not whole does not have its name yet.
            for path, content in tree.items():
                if (copy / path).exists():
                    assert (copy / path).read_bytes() == content, path
        assert self.run("pull", None, 0)
        assert {path: (copy / path).read_bytes() for path in tree} == tree


def main(folder: str, seed: str, kills: str) -> None:
    transfers = Transfers(Path(folder), int(seed))
    transfers.pulls(int(kills), transfers.pushes(int(kills)))
    transfers.server.close()
    examine(transfers.server.data, dead=True)
    print(json.dumps({"kills": transfers.kills}))


if __name__ == "__main__":
    main(*sys.argv[1:])
