"""Judging many lines at once says what judging them one by one does: every fault, its line and record, every fact."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable

import pytest

from entrepot.datatypes import delimited, reads, sequences, tables
from entrepot.datatypes.examine import CHECKS
from entrepot.datatypes.reading import Check, Stop


class Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        # Short blocks, so that records lie over their ends.
        return self._data[offset : offset + min(length, 8_191)]


def judged(kind: str, data: bytes) -> object:
    check = Check(Bytes(data))
    with contextlib.suppress(Stop):
        CHECKS[kind](check)
    return check.found, check.findings, check.facts


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads._Reads, "all_good", lambda *_: False)
    monkeypatch.setattr(delimited._Table, "_all_even", lambda *_: 0)
    monkeypatch.setattr(sequences._Sequences, "_all_plain", lambda *_: False)
    monkeypatch.setattr(tables, "_quick", lambda: tables._refuse)


def fastq(dice: random.Random) -> bytes:
    named = dice.random() < 0.5
    records = []
    for n in range(dice.randint(1, 700)):
        length = dice.randint(1, 30)
        bases, scores = bytes(dice.choices(b"ACGTN", k=length)), bytes(dice.choices(range(33, 74), k=length))
        records.append(b"@r%d x\n%b\n+%b\n%b\n" % (n, bases, b"r%d x" % n if named else b"", scores))
    return b"".join(records)


def rows(dice: random.Random, mark: bytes) -> bytes:
    columns, quotes = dice.choice((1, 2, 4)), dice.choice((0.0, 0.3))
    lines = [mark.join(b"c%d" % n for n in range(columns))]
    for _ in range(dice.randint(1, 1500)):
        cells = [b'"a%b ""q""%b"' % (mark, dice.choice((b"", b"\n"))) if dice.random() < quotes else b"17"] * columns
        lines.append(mark.join(cells))
    return b"\n".join(lines) + b"\n"


def fasta(dice: random.Random) -> bytes:
    records = []
    for n in range(dice.randint(1, 80)):
        lines = [bytes(dice.choices(b"ACGT", k=dice.randint(1, 20))) for _ in range(dice.randint(0, 60))]
        records.append(b"\n".join([b">s%d d" % n, *lines]) + b"\n")
    return b"".join(records)


def ndjson(dice: random.Random) -> bytes:
    made = [{"n": n, f"k{dice.randint(0, 5)}": ['\\"é', 1.5, None, {"a": True}]} for n in range(dice.randint(1, 400))]
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in made)


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "fastq": fastq,
    "csv": lambda dice: rows(dice, dice.choice((b",", b";"))),
    "tsv": lambda dice: rows(dice, b"\t"),
    "fasta": fasta,
    "ndjson": ndjson,
}


def damaged(data: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.choice((0, 1, 2, 20))):
        at = dice.randrange(len(data))
        kind = dice.randrange(4)
        if kind == 0:
            data = data[:at] + bytes([dice.choice(b'\n\r"@+> ,;\t\x00\xff#{}A')]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + data[at + dice.choice((1, 3, 50)) :]
        elif kind == 2:
            data = data[:at] + dice.choice((b"\n", b'"', b"\r\n", b"\n\n", b"\xef\xbb\xbf", b"\\ud800")) + data[at:]
        else:
            data = data[: max(1, len(data) - dice.randint(0, 40))]
    return data.replace(b"\n", b"\r\n") if dice.random() < 0.2 else data


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_say_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(sum(kind.encode()))
    files = [damaged(KINDS[kind](dice), dice) for _ in range(20)]
    quickly = [judged(kind, data) for data in files]
    one_by_one(monkeypatch)
    slowly = [judged(kind, data) for data in files]
    assert quickly == slowly
    assert len({str(one) for one in slowly}) > 10, "the files are all alike"


def test_a_fault_far_inside_is_named_with_its_line_and_record() -> None:
    good = b"@r\nACGT\n+\nIIII\n"
    check = Check(Bytes(good * 5_000 + b"@r\nACGT\n+\nIII\n" + good * 5_000))
    reads.fastq(check)
    assert [(one.code, one.line, one.record) for one in check.findings] == [("unequal_lengths", 20_004, 5_001)]
    assert check.facts["reads"] == 10_001


def test_a_quote_that_is_never_closed_is_found_without_looking_back_at_every_line() -> None:
    """Each line once: a record that goes on over many short lines took hours when all were counted again."""
    check = Check(Bytes(b'a,b\n1,"x\n' + (b"1" * 99 + b"\n") * 45_000))
    delimited.csv(check)
    assert [(one.code, one.line) for one in check.findings] == [("open_quote", 2)]


def test_records_over_many_lines_are_counted_as_one_line_each() -> None:
    check = Check(Bytes(b"a,b\n" + b'1,"x\ny\nz"\n' * 2_000 + b"1\n"))
    delimited.csv(check)
    assert [(one.code, one.line, one.record) for one in check.findings] == [("ragged_row", 6_002, 2_002)]
