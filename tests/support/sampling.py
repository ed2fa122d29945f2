"""What is repeated on each backend: which repetitions every run has, and which only `make soak` has.

The depot asks the catalogue the same whichever database that is, and that both answer alike is what the contract of the
catalogue asks of each of them, wholly. So of the depot's own tests each is run on SQLite, and one of three on
PostgreSQL too, drawn by a seed: no module is without some. `ENTREPOT_TEST_SEED` draws others.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

import pytest

__all__ = ["leave_for_soak"]

_DEPOT = Path(__file__).resolve().parent.parent / "contract" / "depot"
_SEED = os.environ.get("ENTREPOT_TEST_SEED", "1")
_ONE_OF = 3
#: Modules, and tests of others, that are wholly run on both. Two at a time, locks, and statements that only one of the
#: databases knows: there they differ.
_WHOLE = frozenset(
    {
        "test_bootstrap",
        "test_collection",
        "test_lists_and_repeats",
        "test_logins",
        "test_many",
        "test_nodes_and_licences",
        "test_slots_once",
        "test_sorting",
        "test_spares",
        "test_upkeep",
        "test_what_is_put_back_is_the_same_in_every_row_and_byte",
        "test_whole",
    }
)


def leave_for_soak(items: Iterable[pytest.Item]) -> None:
    """Mark what is not drawn as every test is marked that only `make soak` runs."""
    on_sqlite: set[Hashable] = set()
    on_postgresql: dict[str, list[tuple[Hashable, pytest.Function]]] = defaultdict(list)
    for item in items:
        if not isinstance(item, pytest.Function) or not hasattr(item, "callspec") or item.path.parent != _DEPOT:
            continue
        if item.path.stem in _WHOLE or item.originalname in _WHOLE or item.get_closest_marker("soak"):
            continue
        others = {name: repr(value) for name, value in item.callspec.params.items() if name != "catalog_url"}
        asked = (item.path.stem, item.originalname, frozenset(others.items()))
        database = item.callspec.params.get("catalog_url")
        if database == "sqlite":
            on_sqlite.add(asked)
        elif database == "postgresql":
            on_postgresql[item.path.stem].append((asked, item))
    for module, found in on_postgresql.items():
        repeated = sorted((item for asked, item in found if asked in on_sqlite), key=lambda item: item.nodeid)
        drawn = -(-len(repeated) // _ONE_OF)
        random.Random(f"{_SEED} {module}").shuffle(repeated)
        for item in repeated[drawn:]:
            item.add_marker(pytest.mark.soak)
