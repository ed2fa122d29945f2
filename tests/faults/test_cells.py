"""Every operation under every fault: never by halves, never lost, never said to be done when it was not.

A seeded sample each time; the whole table, several times each, with `-m soak` and by `scripts/fault-table`.
"""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Connection, update

from entrepot.catalog.schema import version
from entrepot.model.errors import DiskFull, Unavailable
from tests.support.cells import COLUMNS, OPERATIONS, ROWS, Cells

SEED = 3
#: The other columns need servers: one cell of each is enough when there is no time for more.
QUICK = [name for name, column in COLUMNS.items() if not column.bucket and column.catalog == "sqlite"]


@pytest.mark.parametrize("fault", COLUMNS)
def test_a_sample_of_each_fault(cells: Cells, fault: str) -> None:
    chance = random.Random(f"{SEED}{fault}")
    able = [name for name in OPERATIONS if cells.can_strike(name, fault)]
    for name in chance.sample(able, min(3 if fault in QUICK else 1, len(able))):
        cells.run(name, fault, chance)


def test_no_commit_that_found_no_room_in_postgresqls_log_is_said_to_have_changed_nothing(cells: Cells) -> None:
    """The server ends over it, and its recovery may find the commit."""
    with cells.world(COLUMNS["PostgreSQL's disk full"]) as world:
        assert world.small is not None

        def work(conn: Connection) -> None:
            conn.execute(update(version).values(description=random.Random(3).randbytes(1000).hex()))

        world.house.version(world.who, name="birds")
        world.catalog.write(work)
        began = world.log_size()
        world.catalog.write(work)
        with world.small.full(log=(world.log_size() - began) // 2), pytest.raises(Unavailable) as told:
            world.catalog.write(work)
        assert not isinstance(told.value, DiskFull)
        world.reconnect()
        world.catalog.write(work)


@pytest.mark.parametrize("fault", ["torn write", "database's disk full", "PostgreSQL's disk full"])
def test_an_upgrade_of_a_catalogue_with_facts_in_it(cells: Cells, fault: str) -> None:
    chance = random.Random(f"{SEED}{fault}")
    for _ in range(2):
        cells.run("migrate", fault, chance)


@pytest.mark.soak
@pytest.mark.parametrize("fault", COLUMNS)
@pytest.mark.parametrize("operation", ROWS)
def test_every_cell(cells: Cells, operation: str, fault: str) -> None:
    chance = random.Random(f"{SEED}{operation}{fault}")
    for _ in range(3):
        cells.run(operation, fault, chance)
