"""Every operation while one of its requests is harmed on the way: no byte lost, none wrong, no success that was none.

A seeded sample each time; the whole table with `-m soak` and by `scripts/fault-table`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Running
from tests.support.wire_cells import WIRE_COLUMNS, WIRE_OPERATIONS, WireCells, bucket_ground, ground

SEED = 1
AT_SERVER = [name for name, operation in WIRE_OPERATIONS.items() if not operation.direct]
PAST_SERVER = [name for name, operation in WIRE_OPERATIONS.items() if operation.direct]


@pytest.fixture(scope="module")
def cells(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireCells]:
    with ground(server.url, server.data, server.token, tmp_path_factory.mktemp("cells")) as made:
        yield WireCells(made)


@pytest.fixture(scope="module")
def bucket_cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WireCells]:
    """A server of its own, whose bytes are in a bucket that clients reach by a way that may be harmed."""
    with bucket_ground(tmp_path_factory.mktemp("bucket")) as made:
        yield WireCells(made)


@pytest.mark.parametrize("fault", WIRE_COLUMNS)
def test_a_sample_of_what_happens_on_the_way(cells: WireCells, fault: str) -> None:
    chance = random.Random(f"{SEED}{fault}")
    able = [name for name in AT_SERVER if cells.can_strike(name, fault)]
    for name in chance.sample(able, min(1, len(able))):
        cells.run(name, fault, chance)


#: What strikes where the bytes go past the server and nothing else does, and the one that most often tells of mistakes.
PAST_SAMPLE = ("address expires", "answer cut")


@pytest.mark.parametrize("operation", PAST_SERVER)
def test_a_sample_of_what_happens_past_the_server(bucket_cells: WireCells, operation: str) -> None:
    for fault in PAST_SAMPLE:
        bucket_cells.run(operation, fault, random.Random(f"{SEED}{operation}{fault}"))


@pytest.mark.soak
@pytest.mark.parametrize("fault", WIRE_COLUMNS)
@pytest.mark.parametrize("operation", AT_SERVER)
def test_every_cell_over_http(cells: WireCells, operation: str, fault: str) -> None:
    chance = random.Random(f"{SEED}{operation}{fault}")
    for _ in range(3):
        cells.run(operation, fault, chance)


@pytest.mark.soak
@pytest.mark.parametrize("fault", WIRE_COLUMNS)
@pytest.mark.parametrize("operation", PAST_SERVER)
def test_every_cell_past_the_server(bucket_cells: WireCells, operation: str, fault: str) -> None:
    chance = random.Random(f"{SEED}{operation}{fault}")
    for _ in range(3):
        bucket_cells.run(operation, fault, chance)
