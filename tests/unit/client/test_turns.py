"""Turns: one thread at a time, and several where whoever had the first turns mostly waited."""

from __future__ import annotations

import itertools
import threading

import pytest

from entrepot.client.turns import Turns


def turns(*, computes: float, turn_s: float = 1.0) -> Turns:
    """With clocks of their own: each turn takes `turn_s`, and computes for that part of it."""
    clock, processor = itertools.count(), itertools.count()
    return Turns(lambda: turn_s * next(clock), lambda: computes * turn_s * next(processor))


def taken_by_another(turns: Turns) -> bool:
    """Whether somebody else gets a turn at once."""
    found: list[bool] = []

    def ask() -> None:
        with turns.one(wait=False) as mine:
            found.append(mine)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def test_a_turn_is_for_one_thread_and_then_for_the_next() -> None:
    these = turns(computes=1.0)
    with these.one() as mine:
        assert mine
        assert not taken_by_another(these)
    assert taken_by_another(these)


@pytest.mark.parametrize(("computes", "several"), [(1.0, False), (0.3, False), (0.1, True)])
def test_those_who_wait_may_do_so_together(computes: float, several: bool) -> None:
    these = turns(computes=computes)
    with these.one():
        pass
    assert these.several is several
    with these.one():
        assert taken_by_another(these) is several


def test_a_single_short_turn_tells_nothing() -> None:
    these = turns(computes=0.0, turn_s=0.001)
    with these.one():
        pass
    assert not these.several
    for _ in range(30):
        with these.one():
            pass
    assert these.several


def test_a_turn_that_fails_is_over() -> None:
    these = turns(computes=1.0)
    with pytest.raises(ValueError, match="broken"), these.one():
        raise ValueError("broken")
    assert taken_by_another(these)
