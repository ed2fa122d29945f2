"""A depot on each database, with the store in memory."""

from __future__ import annotations

import pytest

from entrepot.catalog.database import Catalog
from entrepot.store.memory import MemoryStore
from tests.support.catalogs import CHEAP_PASSWORDS, Clock
from tests.support.house import House


@pytest.fixture
def house(catalog: Catalog, clock: Clock) -> House:
    store = MemoryStore()
    return House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
