"""How small files are put into batches."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from entrepot.client.batches import BYTES, FILES, grouped


class Sized(NamedTuple):
    size: int


@given(st.lists(st.integers(0, 300), max_size=200), st.integers(300, 2000), st.integers(1, 6))
def test_batches_have_everything_in_order_and_are_no_larger_than_they_may_be(
    sizes: list[int], limit: int, senders: int
) -> None:
    items = [Sized(size) for size in sizes]
    groups = list(grouped(items, limit=limit, senders=senders))
    assert [one for group in groups for one in group] == items
    assert all(groups)
    for number, group in enumerate(groups, 1):
        share = limit * min(number, senders) // senders
        assert sum(one.size for one in group) <= share or len(group) == 1


def test_the_first_batches_of_several_senders_grow_step_by_step() -> None:
    many = [Sized(10)] * (FILES * 4)
    assert [len(group) for group in grouped(many, senders=4)] == [500, 1000, 1500, 2000, 2000, 1000]
    large = [Sized(BYTES // 8)] * 20
    assert [len(group) for group in grouped(large, senders=2)] == [4, 8, 8]
    assert [len(group) for group in grouped(large)] == [8, 8, 4]
