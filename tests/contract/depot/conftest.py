"""A depot on each database, with the store in memory."""

from __future__ import annotations

import pytest

from entrepot.catalog.database import Catalog
from entrepot.depot.context import Policy
from entrepot.store.memory import MemoryStore
from tests.support.catalogs import Clock
from tests.support.house import House

#: Passwords are hashed cheaply here; how well is asked elsewhere.
CHEAP = Policy(password_time_cost=1, password_memory_kib=64, password_lanes=1)


@pytest.fixture
def house(catalog: Catalog, clock: Clock) -> House:
    store = MemoryStore()
    return House(catalog, store, store.staging, clock, policy=CHEAP)
