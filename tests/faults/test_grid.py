"""The grid of docs/reliability.md is what the code does: every pair proved or meaningless, every proof there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support import fault_grid
from tests.support.cells import COLUMNS, Cells
from tests.support.fault_grid import FAULTS, OPERATIONS, Cell, Request, Seen, proofs, reason
from tests.support.reliability_page import PAGE
from tests.support.wire_cells import WIRE_COLUMNS, WIRE_OPERATIONS

PAIRS = [(operation, fault) for operation in OPERATIONS for fault in FAULTS]


@pytest.fixture(scope="module")
def strikes(cells: Cells) -> dict[str, frozenset[str]]:
    return cells.strikes()


def test_every_pair_is_proved_or_means_nothing(strikes: dict[str, frozenset[str]]) -> None:
    missing = [pair for pair in PAIRS if not reason(*pair) and not proofs(*pair, strikes)]
    assert missing == []


def test_every_proof_is_there(strikes: dict[str, frozenset[str]], root: Path) -> None:
    for pair in PAIRS:
        for proof in proofs(*pair, strikes):
            match proof:
                case Cell(row, column):
                    assert row in strikes[column]
                case Request(row, column):
                    assert row in WIRE_OPERATIONS
                    assert column in WIRE_COLUMNS
                case Seen():
                    assert_seen(root, proof)


def assert_seen(root: Path, proof: Seen) -> None:
    """The test is there, and what it names too."""
    place, _, function = proof.test.partition("::")
    text = (root / place).read_text(encoding="utf-8")
    assert function in {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    named = (root / "tests" / "support" / f"{proof.program}.py").read_text(encoding="utf-8") if proof.program else text
    assert proof.word in named, f"{proof.test} has no {proof.word}"


def test_what_is_said_to_touch_no_bytes_takes_no_step_at_a_store(strikes: dict[str, frozenset[str]]) -> None:
    for operation, fault in PAIRS:
        if reason(operation, fault) in (fault_grid.NO_BYTES, fault_grid.NO_WRITES):
            struck = [(row, column) for column in fault_grid.columns(operation, fault) for row in strikes[column]]
            assert not [row for row, _ in struck if row in OPERATIONS[operation].cells], (operation, fault)


def test_no_row_or_column_of_the_tables_is_outside_of_the_grid() -> None:
    assert {row for one in OPERATIONS.values() for row in one.requests} >= set(WIRE_OPERATIONS) - OUTSIDE
    assert {column for fault in FAULTS for column in fault_grid.columns("GC", fault)} == set(COLUMNS)


#: What is tested besides the operations that the grid is about.
OUTSIDE = {"reinstate", "batch down", "pull", "signed link", "direct down"}


def test_the_page_says_so(strikes: dict[str, frozenset[str]]) -> None:
    """If this fails: scripts/fault-table --grid."""
    assert fault_grid.page(strikes) in PAGE.read_text(encoding="utf-8")
