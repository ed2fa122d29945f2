"""Kills a server at chosen steps of chosen operations, and looks after each kill what is left and whether it goes on.

    python -m tests.support.killed_servers DATA SEED OPERATION=POINTS …

Each operation is done once to learn how many steps it has, and then killed at POINTS of them, spread over the whole of
it; `all` takes every one. `start` is that of the server itself. The last line is a JSON object of what was counted.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.support.examine import Examined, examine
from tests.support.forked import ForkedServer
from tests.support.lanes import API, Broken, Lane, Unlit
from tests.support.reckoning import check


class StepKills:
    """One data folder, one server after the other, and a new lane for each operation."""

    def __init__(self, data: Path, seed: int) -> None:
        self.server = ForkedServer(data)
        self.chance = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.examined = Examined()
        self.seen: Counter[str] = Counter()
        self._seed = seed
        self._lanes = 0
        self.server.start()

    def operation(self, name: str, points: int | None) -> None:
        """Kill one operation at so many points; None is at every step."""
        lane = self._lane()
        for at in self._chosen(self._do(lane, name, 0), points):
            if len(lane.world) > 6 or sum(len(told.revisions) for told in lane.world.values()) > 20:
                # What a lane has is looked at after each kill; a young one costs less.
                self.seen += lane.counts
                lane = self._lane()
            self._do(lane, name, at)
        self.seen += lane.counts

    def start(self, points: int | None) -> None:
        """Kill the server before it listens."""
        process, steps = self.server.process, self.server.steps
        assert process is not None
        process.kill()
        steps.arm(0)
        self.server.start().kill()
        for at in self._chosen(steps.made, points):
            steps.arm(at)
            started = self.server.start()
            steps.arm(0)
            started.kill()
            self.kills["start"] += 1
            self._examine()
        self.server.start()
        with self.server.client() as http:
            assert http.get("/readyz").status_code in (200, 503)

    def _chosen(self, steps: int, points: int | None) -> list[int]:
        if points is None:
            return list(range(1, steps + 1))
        # One in each part of equal size: the end is where most can go wrong, and chance might never go there.
        return [self.chance.randint(n * steps // points + 1, (n + 1) * steps // points) for n in range(points)]

    def _examine(self) -> None:
        found = examine(self.server.data, dead=True)
        self.examined.contents += found.contents
        self.examined.bytes += found.bytes

    def _lane(self) -> Lane:
        self._lanes += 1
        lane = Lane(self._lanes, self._seed * 1000 + self._lanes)
        with self.server.client() as http:
            made = http.post(f"{API}/projects", json={"name": f"Lane {lane.tag}"})
            assert made.status_code == 201, made.text
            lane.project = made.json()["id"]
        return lane

    def _do(self, lane: Lane, name: str, at: int) -> int:
        """Do the operation with a server that dies at its n-th step, 0 never; answers how many steps were made."""
        process = self.server.process
        assert process is not None
        fuse, steps = Unlit(process), self.server.steps
        with self.server.client() as http:
            # Its connections first, to us and to the database: the steps are then those of the operation alone.
            about = {"description": f"before {name} at {at}"}
            answer = http.patch(f"{API}/projects/{lane.project}", json=about)
            assert answer.is_success, answer.text
            steps.arm(at)
            try:
                while not lane.attempt(name, http, fuse):
                    steps.arm(0)
                    lane.prepare(name, http, fuse)
                    steps.arm(at)
                made = steps.made
                steps.arm(0)
                if not at:
                    return made
            except Broken:
                assert process.wait()
        if process.status is None:
            # It has fewer steps this time and was acknowledged: that must last beyond a death right after it.
            process.kill()
            self.kills[f"{name}, after its answer"] += 1
        else:
            assert process.status == -9, process.status
            self.kills[name] += 1
        self._examine()
        self.server.start()
        with self.server.client() as http:
            check(lane, http)
        return 0


def main(data: str, seed: str, *operations: str) -> None:
    kills = StepKills(Path(data), int(seed))
    for one in operations:
        name, _, given = one.partition("=")
        points = None if given == "all" else int(given)
        kills.start(points) if name == "start" else kills.operation(name, points)
    kills.server.close()
    print(json.dumps({"kills": kills.kills, "seen": kills.seen, **asdict(kills.examined)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
