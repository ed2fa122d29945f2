"""A process of its own that uploads, and says how far it is, until somebody kills it.

    python stage_writer.py ROOT KEY SEED SIZE DURABLE

Takes one character from its input for every block it writes, and ends when there are no more, so that it cannot run
away from whoever is about to kill it. Prints one line a step: `at N` after N bytes were received, `durable N` after a
sync, `placing` and `placed`. The bytes are a function of the seed, so a second process can go on where the first ended.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from entrepot.model.errors import NotFound
from entrepot.store.base import Stage, Staging, boot_id
from entrepot.store.filesystem import FilesystemStore
from entrepot.testing.store_contract import content_of


def begin_or_resume(staging: Staging, key: str, durable: int) -> Stage:
    try:
        return staging.resume(key, durable=durable, boot_id=boot_id())
    except NotFound:
        return staging.create(key)


def main(root: str, key: str, seed: str, size: str, durable: str) -> None:
    content = content_of(int(size), int(seed))
    lengths = random.Random(int(seed))
    store = FilesystemStore(Path(root))
    stage = begin_or_resume(store.staging, key, int(durable))
    say(f"at {stage.size}")
    while stage.size < len(content) and sys.stdin.read(1):
        length = lengths.choice((1, 1_000, 65_536, 400_000))
        stage.write(content[stage.size : stage.size + length])
        say(f"at {stage.size}")
        if lengths.random() < 0.2:
            say(f"durable {stage.sync()}")
    if stage.size == len(content):
        say("placing")
        stage.place()
        say("placed")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
