"""Processes that are killed: forked from one that has everything imported, so that hundreds of them cost seconds.

A script imports this, opens nothing itself while it raises children, and lets each child open what it needs. A child
passes points of its own choosing; at one of them, drawn from the seed, it is gone as after kill -9. Where the points
lie does not depend on how fast the machine is.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass
class Fate:
    """When this child dies.

    Args:
        chance: Its own; the same seed gives the same children.
        points: How many points it passes before that; None lets it live.
    """

    chance: random.Random
    points: int | None

    @property
    def is_mortal(self) -> bool:
        return self.points is not None

    def point(self) -> None:
        """Here it may end. May be called in any thread."""
        if self.points is None:
            return
        self.points -= 1
        if self.points <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


Child = Callable[[Fate], None]


def raise_children(children: Sequence[Child], *, seed: int, kills: int, longest: int) -> int:
    """Run every child until it returns, killing and raising anew as long as there are kills left; answers how many.

    Args:
        kills: How many are mortal; the ones after them live until they return.
        longest: The most points that a mortal child passes.

    Raises:
        SystemExit: A child failed; what it said is on standard error.
    """
    chance = random.Random(seed)
    killed, left = 0, kills
    running: dict[int, int] = {}
    waiting = list(range(len(children)))
    while waiting or running:
        for number in waiting:
            points = chance.randint(1, longest) if left > 0 else None
            left -= 1
            fate = Fate(random.Random(chance.randrange(1 << 30)), points)
            running[_fork(children[number], fate)] = number
        waiting.clear()
        pid, status = os.waitpid(-1, 0)
        number = running.pop(pid)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            killed += 1
            waiting.append(number)
        elif status != 0:
            for other in running:
                os.kill(other, signal.SIGKILL)
            sys.exit(f"child {number} ended with status {status}")
    return killed


def _fork(child: Child, fate: Fate) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        child(fate)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
