"""What differs between two sets of items that a key names, whatever order they stand in.

Memory is bounded: keys are divided by their digest into shares of some ten thousand, and both sides are read once for
each share. Two items are the same when they are the same JSON value, however it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from entrepot.model.errors import Invalid
from entrepot.records.reference import parse
from entrepot.records.select import Path

#: Items of one side that are compared in one reading.
SHARE: Final = 100_000

Lines = Callable[[], Iterable[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class Difference:
    """One key on which the sides differ.

    Args:
        what: `added`, `removed` or `changed`.
        before, after: The number of the item on either side.
    """

    what: str
    key: Any
    before: int | None
    after: int | None


def readings(items: int) -> int:
    """How often both sides are read when the larger has so many items."""
    return -(-items // SHARE) or 1


def differences(path: Path, before: Lines, after: Lines, items: int) -> Iterator[Difference]:
    """Every key on which they differ, in no order that means anything.

    Args:
        before, after: Give (number, line) of every item, each time they are called.
        items: How many the larger side has.

    Raises:
        Invalid: An item has no such key, more than one, or one that another item of its side has too.
    """
    shares = readings(items)
    for share in range(shares):
        old = _digests(path, before(), share, shares)
        for key, (n, digest) in _digests(path, after(), share, shares).items():
            was = old.pop(key, None)
            if was is None:
                yield Difference("added", json.loads(key), None, n)
            elif was[1] != digest:
                yield Difference("changed", json.loads(key), was[0], n)
        for key, (n, _) in old.items():
            yield Difference("removed", json.loads(key), n, None)


def _digests(path: Path, lines: Iterable[tuple[int, bytes]], share: int, shares: int) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    for n, line in lines:
        item = parse(line)
        keys = list(path.values(item))
        if len(keys) != 1 or isinstance(keys[0], (dict, list)):
            raise Invalid(f"Item {n} has {len(keys)} values at the key's path; each needs one, a text or a number.")
        key = json.dumps(keys[0])
        if shares > 1 and int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) % shares != share:
            continue
        if key in found:
            raise Invalid(
                f"Items {found[key][0]} and {n} have the same key {key[:100]}. Name one that tells them apart."
            )
        text = json.dumps(item, sort_keys=True, separators=(",", ":"))
        found[key] = (n, hashlib.blake2b(text.encode(), digest_size=16).digest())
    return found
