"""The tree of `entrepot link graph`: what many ways lead to is drawn once, and circles end."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace as Facts
from typing import Any

import pytest

from entrepot.cli import link


def drawn(edges: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    def end(name: str) -> Any:
        return Facts(version=name, name=name, number=1, revision=1, purged=False)

    rows = [Facts(verb="of", source=end(one), target=end(other)) for one, other in edges]
    graph: Any = Facts(versions=[], edges=rows)
    link._tree(graph, "0", upward=True)
    return capsys.readouterr().out.splitlines()


def test_many_ways_to_one_thing_are_not_as_many_trees(capsys: pytest.CaptureFixture[str]) -> None:
    """Ten layers of five, each made of all five of the next, would be ten million lines."""
    layers = [["0"], *[[f"{layer}.{n}" for n in range(5)] for layer in range(1, 11)]]
    edges = [(a, b) for above, below in pairwise(layers) for a in above for b in below]
    lines = drawn(edges, capsys)
    assert len(lines) == len(edges)
    assert sum("(as above)" in line for line in lines) == len(edges) - 45 - 25


def test_a_circle_ends_where_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split("of: ")[1] for line in drawn([("0", "1"), ("1", "0")], capsys)] == ["1@1.1", "0@1.1 (again)"]
