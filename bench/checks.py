"""The checks of lab files: how many megabytes of each type one core judges in a second.

    python -m bench checks [--mib 64] [--rounds 5] [--keep]

Files are made up, good, and in memory; what is counted is time of the processor, so that other work on the machine
counts little. Types are taken in turn, round after round. `bad` files have a fault in every hundredth record.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable

from bench._house import RESULTS, machine, middle
from entrepot.datatypes.examine import examine
from entrepot.datatypes.registry import Registry

#: One piece of a file, and how often the file has it; the first line of tables comes before.
Made = tuple[bytes, bytes]


class Content:
    """A first line, and a piece again and again: no file is ever in memory as a whole."""

    def __init__(self, first: bytes, piece: bytes, size: int) -> None:
        self._first, self._piece = first, piece
        self.size = len(first) + len(piece) * max(1, (size - len(first)) // len(piece))

    def read_at(self, offset: int, length: int) -> bytes:
        parts, at = [], offset
        end = min(offset + length, self.size)
        while at < end:
            if at < len(self._first):
                part = self._first[at:end]
            else:
                begin = (at - len(self._first)) % len(self._piece)
                part = self._piece[begin : begin + end - at]
            parts.append(part)
            at += len(part)
        return b"".join(parts)


def _fastq(dice: random.Random, bad: bool) -> Made:
    lines = []
    for n in range(10_000):
        bases, scores = bytes(dice.choices(b"ACGT", k=150)), bytes(dice.choices(range(35, 74), k=150))
        lines.append(
            b"@M0:1:FC:1:11:%d:1 1:N:0:1\n%b\n+\n%b\n" % (n, bases, scores[1:] if bad and not n % 100 else scores)
        )
    return b"", b"".join(lines)


def _fasta(dice: random.Random, bad: bool) -> Made:
    rows = [bytes(dice.choices(b"ACGT", k=60)) for _ in range(30_000)]
    if bad:
        rows[::100] = [b"1" + row[1:] for row in rows[::100]]
    return b">chr1 one\n", b"\n".join(rows) + b"\n"


def _csv(dice: random.Random, bad: bool, *, quoted: bool = False) -> Made:
    rows = []
    for n in range(30_000):
        text = b'"a, %d"' % n if quoted else b"word"
        row = b"%d,%b,%d,%.3f,2024-05-0%d,yes\n" % (n, text, dice.randrange(10**6), dice.random(), n % 9 + 1)
        rows.append(b"1," + row if bad and not n % 100 else row)
    return b"id,name,count,share,day,kept\n", b"".join(rows)


def _quoted(dice: random.Random, bad: bool) -> Made:
    return _csv(dice, bad, quoted=True)


def _ndjson(dice: random.Random, bad: bool) -> Made:
    rows = []
    for n in range(20_000):
        value = {
            "id": n,
            "text": "some words about it",
            "score": dice.random(),
            "tags": ["a", "b"],
            "box": {"x": 1, "y": 2},
        }
        row = json.dumps(value).encode()
        rows.append(row[:-1] if bad and not n % 100 else row)
    return b"", b"\n".join(rows) + b"\n"


def _vcf(dice: random.Random, bad: bool) -> Made:
    first = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tone\ttwo\n"
    rows = [
        b"chr1\t%b\t.\tA\tG\t%d\tPASS\tDP=10;AF=0.5\tGT:DP\t0/1:10\t1/1:8\n"
        % (b"x" if bad and not n % 100 else b"%d" % (n + 1), dice.randrange(99))
        for n in range(20_000)
    ]
    return first, b"".join(rows)


def _text(dice: random.Random, bad: bool) -> Made:
    return b"", b"".join(b"a line of %d words, more or less\n" % dice.randrange(99) for _ in range(20_000))


FILES: dict[str, tuple[str, Callable[[random.Random, bool], Made]]] = {
    "FASTQ": ("fastq", _fastq),
    "FASTA": ("fasta", _fasta),
    "CSV": ("csv", _csv),
    "CSV with quotes": ("csv", _quoted),
    "NDJSON": ("ndjson", _ndjson),
    "VCF": ("vcf", _vcf),
    "text": ("text", _text),
}


class _Packed:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench checks")
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="write the figures down")
    options = parser.parse_args(arguments)
    registry, dice = Registry(), random.Random(5)
    contents: dict[str, tuple[str, Content | _Packed, int]] = {}
    for name, (kind, make) in FILES.items():
        for bad in (False, True):
            if not (bad and kind == "text"):
                made = Content(*make(dice, bad), options.mib << 20)
                contents[f"{name}, bad" if bad else name] = kind, made, made.size
    plain = Content(*_fastq(dice, False), options.mib << 20)
    contents["FASTQ in gzip"] = "fastq", _Packed(gzip.compress(plain.read_at(0, plain.size), 1)), plain.size
    rates: dict[str, list[float]] = {name: [] for name in contents}
    for _ in range(options.rounds):
        for name, (kind, content, size) in contents.items():
            begun = time.process_time()
            examine(content, kind, registry)
            rates[name].append(size / 1e6 / (time.process_time() - begun))
    lines = ["| file | MB of text for a second of the processor |", "| --- | --- |"]
    lines += [f"| {name} | {middle(some, '.0f')} |" for name, some in rates.items()]
    about = f"{options.mib} MiB of text each, {options.rounds} rounds. {machine()}."
    text = "\n".join(lines)
    print(f"{text}\n\n{about}")
    if options.keep:
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{about} Again: `python -m bench checks --keep`.\n\n"
        (RESULTS / "checks.md").write_text(f"{head}{text}\n", encoding="utf-8")
    return 0
