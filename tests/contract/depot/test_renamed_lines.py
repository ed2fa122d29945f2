"""A line that gets another slug is found by it, whatever happens after the transaction that changed it."""

from __future__ import annotations

import pytest

from entrepot.catalog.work import UPKEEP
from entrepot.depot import background, search, versions
from entrepot.depot.versions import Numbering
from entrepot.jobs.runner import Runner
from entrepot.model.access import Actor
from tests.support.house import House


def found(house: House, who: Actor, word: str) -> set[int]:
    return {one.found.version.n for one in search.search(house.depot, who, word).rows}


def line(house: House, who: Actor, many: int) -> list[int]:
    return [house.version(who, name="birds", numbering=Numbering.NEXT).n for _ in range(many)]


def test_the_words_change_with_the_slug(house: House) -> None:
    """There is no second step that a death could fall before."""
    ann = house.user()
    made = line(house, ann, 3)
    versions.set_slug(house.depot, ann, made[0], "feathers")
    assert found(house, ann, "feathers") == set(made)


def test_those_of_a_long_line_follow(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_SLICE", 2)
    ann = house.user()
    made = line(house, ann, 5)
    versions.set_slug(house.depot, ann, made[0], "feathers")
    assert found(house, ann, "feathers") == set(made[:2])
    runner = Runner(house.depot.catalog, background.kinds(house.depot), queue=UPKEEP, worker="test")
    while runner.step():
        pass
    assert found(house, ann, "feathers") == set(made)
