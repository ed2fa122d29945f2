"""`entrepot daemon run` as programs write it, without the library that reads what people write.

Somebody waits for a daemon that is started: the library and what it loads are more than half of the time until it
answers. Whatever is not understood here at once, down to `--help` and mistakes, is the library's to judge.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["run"]

_NAMES = frozenset({"--socket", "--idle", "--limit-rate", "--slots"})
_MOST_SLOTS = 64


def run(arguments: Sequence[str]) -> bool:
    """Be the daemon until it ends; False, with nothing done, where the words are not the simple ones.

    Raises:
        EntrepotError: It could not begin.
    """
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if 2 * len(given) != len(arguments) or not given.keys() <= _NAMES:
        return False
    try:
        idle = float(given["--idle"]) if "--idle" in given else None
        slots = int(given["--slots"]) if "--slots" in given else None
    except ValueError:
        return False
    if (idle is not None and not idle >= 0) or (slots is not None and not 1 <= slots <= _MOST_SLOTS):
        return False
    from entrepot.cli import daemon_run

    daemon_run.run(given.get("--socket"), idle, given.get("--limit-rate"), slots)
    return True
