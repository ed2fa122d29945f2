"""Lives of hundreds of steps with collection beside them: nothing needed is lost, nothing else is kept, usage is exact.

A short one each time; with `-m soak` a million operations, which takes hours; `scripts/long-life` does the same in
several processes and writes down what it did.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.long_life import Lived, run_lives


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inhabited")


def sound(lived: Lived, operations: int) -> None:
    assert lived.failures == []
    assert lived.operations >= operations
    assert lived.collections


def test_a_short_life_with_collection_beside_it(shared: Path) -> None:
    sound(run_lives(80, 11, shared, steps=90), 80)


@pytest.mark.soak
def test_a_million_operations(shared: Path) -> None:
    sound(run_lives(1_000_000, 1, shared), 1_000_000)
