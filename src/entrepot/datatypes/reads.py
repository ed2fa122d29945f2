"""The check of FASTQ: records of four lines, many at once where nothing is wrong with them.

    lines ──256 records──► all good together?  ── yes ──► counted
                                  └── no, or less than a record is left ──► one after the other, each fault named

Asking a question of many records at once leaves the work to the loops of the interpreter's own byte functions. What
they cannot say for certain, the second way judges; so only files that are bad are slow, and only where they are bad.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from entrepot.datatypes.reading import Check, said

__all__ = ["Lengths", "fastq"]

#: Different lengths that are told apart in a distribution.
_LENGTHS: Final = 1000
#: Records that are judged together: about what fits into the cache of a core.
_TOGETHER: Final = 256
#: So many when something is wrong with one of those.
_FEW: Final = 8
#: Records of which bases and qualities are counted.
_COUNTED: Final = 10_000

#: What is left of a good line when these are taken away is nothing; several times faster than a pattern.
_BASES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.*-~"
_QUALITIES: Final = bytes(range(33, 127))
#: A line that begins a record with no name.
_NAMELESS: Final = tuple(b"\n@" + blank for blank in (b"\n", b" ", b"\t", b"\r", b"\v", b"\f"))


class Lengths:
    """How long the sequences are: least, most, mean, and how often which."""

    def __init__(self) -> None:
        self._counted: Counter[int] = Counter()
        self.n = 0
        self.total = 0
        self.least: int | None = None
        self.most = 0

    def add(self, length: int, times: int = 1) -> None:
        self.n += times
        self.total += length * times
        if self.least is None or length < self.least:
            self.least = length
        if length > self.most:
            self.most = length
        if length in self._counted or len(self._counted) < _LENGTHS:
            self._counted[length] += times

    def facts(self) -> dict[str, object]:
        if not self.n:
            return {"min": None, "max": None, "mean": None, "distribution": []}
        common = sorted(self._counted.most_common(50))
        return {
            "min": self.least,
            "max": self.most,
            "mean": round(self.total / self.n, 2),
            "distribution": [{"length": length, "count": count} for length, count in common],
        }


class _Lines:
    """Lines that are looked at before they are taken, and may be given back."""

    def __init__(self, groups: Iterator[list[bytes]]) -> None:
        self._groups = groups
        self._held: list[bytes] = []
        self._at = 0
        #: Lines that were taken.
        self.number = 0

    def ahead(self, most: int) -> list[bytes]:
        """The next lines without taking them; fewer than `most` only before the end."""
        while len(self._held) - self._at < most and (group := next(self._groups, None)) is not None:
            self._held, self._at = self._held[self._at :] + group, 0
        return self._held[self._at : self._at + most]

    def take(self) -> bytes | None:
        if self._at == len(self._held) and not self.ahead(1):
            return None
        self.pass_over(1)
        return self._held[self._at - 1]

    def pass_over(self, count: int) -> None:
        """Take lines that were looked at; a number below zero gives back what was just taken."""
        self._at += count
        self.number += count

    def to_next_record(self) -> None:
        """Pass over what cannot be the beginning of a record."""
        while (seen := self.ahead(3)) and not (seen[0][:1] == b"@" and (len(seen) < 3 or seen[2][:1] == b"+")):
            self.pass_over(1)


class _Reads:
    """What was read so far."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.record = 0
        self.lengths = Lengths()
        self._bases = self._strong = 0
        #: Of the qualities; 255 before there are any.
        self._lowest = 255

    def all_good(self, lines: list[bytes]) -> bool:
        """Count these records, four lines each, if nothing is wrong with any of them; else nothing happens."""
        heads, sequences, marks, scores = lines[0::4], lines[1::4], lines[2::4], lines[3::4]
        names = b"\n%b\n" % b"\n".join(heads)
        if names.count(b"\n@") != len(heads) or any(one in names for one in _NAMELESS):
            return False
        # Nothing behind the + in all of them, or the name once more in all of them.
        if marks.count(b"+") != len(marks) and b"\n%b\n" % b"\n".join(marks) != names.replace(b"\n@", b"\n+"):
            return False
        lengths = list(map(len, sequences))
        if lengths != list(map(len, scores)):
            return False
        if b"".join(sequences).translate(None, _BASES) or b"".join(scores).translate(None, _QUALITIES):
            return False
        left = _COUNTED - self.record
        if left > 0:
            self._count(b"".join(sequences[:left]), b"".join(scores[:left]))
        for length, times in Counter(lengths).items():
            self.lengths.add(length, times)
        self.record += len(heads)
        return True

    def _count(self, sequence: bytes, scores: bytes) -> None:
        self._bases += len(sequence)
        self._strong += sum(map(sequence.count, (b"G", b"g", b"C", b"c")))
        # Looked for one by one, which is far quicker than walking over them: soon few values are left to ask for.
        self._lowest = next((value for value in range(self._lowest) if value in scores), self._lowest)

    def one(self, lines: _Lines) -> bool:
        """Judge what the next lines are; False when nothing can follow."""
        check = self._check
        head = lines.take()
        if head is None:
            return False
        number = lines.number
        if not head:
            if any(lines.ahead(1)):
                check.wrong("empty_line", f"Line {number} is empty between two records.", line=number)
            return True
        self.record += 1
        record = self.record
        if head[:1] != b"@":
            check.wrong(
                "bad_header",
                f"Line {number} begins record {record} with {said(head)}, not with @.",
                line=number,
                record=record,
            )
            lines.to_next_record()
            return True
        sequence, plus, scores = lines.take(), lines.take(), lines.take()
        if sequence is None or plus is None or scores is None:
            check.wrong(
                "truncated",
                f"The file ends inside record {record}, which begins on line {number}.",
                line=number,
                record=record,
            )
            return False
        if plus[:1] != b"+":
            check.wrong(
                "bad_separator",
                f"Line {number + 2} of record {record} is {said(plus)}, not a line with +.",
                line=number + 2,
                record=record,
            )
            lines.pass_over(-2)
            lines.to_next_record()
            return True
        self._whole(number, head, sequence, plus, scores)
        return True

    def _whole(self, number: int, head: bytes, sequence: bytes, plus: bytes, scores: bytes) -> None:
        """Judge a record whose four lines are where they belong, the first of them on line `number`."""
        check, record = self._check, self.record
        if len(plus) > 1 and plus[1:] != head[1:]:
            check.wrong(
                "names_differ",
                f"Line {number + 2} names record {record} otherwise than its first line.",
                line=number + 2,
                record=record,
            )
        if len(head) == 1 or head[1:2].isspace():
            check.wrong("no_name", f"Record {record} on line {number} has no name.", line=number, record=record)
        if len(sequence) != len(scores):
            check.wrong(
                "unequal_lengths",
                f"Record {record} ({said(head[1:].split(b' ')[0])}) has {len(sequence)} bases and {len(scores)} "
                f"qualities, on line {number + 3}.",
                line=number + 3,
                record=record,
            )
        if sequence.translate(None, _BASES):
            check.wrong(
                "bad_bases",
                f"Line {number + 1} of record {record} has characters that are no bases.",
                line=number + 1,
                record=record,
            )
        if scores.translate(None, _QUALITIES):
            check.wrong(
                "bad_qualities",
                f"Line {number + 3} of record {record} has characters that are no qualities.",
                line=number + 3,
                record=record,
            )
        self.lengths.add(len(sequence))
        if record <= _COUNTED:
            self._count(sequence, scores)

    def facts(self) -> dict[str, object]:
        facts = {"reads": self.lengths.n, "bases": self.lengths.total, "read_length": self.lengths.facts()}
        if self._bases:
            facts["gc_percent"] = round(100 * self._strong / self._bases, 1)
        if (lowest := self._lowest) < 255:
            facts["quality_encoding"] = "phred33" if lowest < 59 else "phred64" if lowest >= 64 else "unknown"
        return facts


def fastq(check: Check) -> None:
    """Records of four lines. After a bad one it goes on where the next one seems to begin."""
    lines, reads = _Lines(check.line_groups()), _Reads(check)
    more = True
    while more and (group := lines.ahead(4 * _TOGETHER)):
        if _all_good(reads, lines, group):
            continue
        until = lines.number + len(group)
        while more and lines.number < until:
            few = lines.ahead(4 * _FEW)
            more = _all_good(reads, lines, few) or all(reads.one(lines) for _ in range(_FEW))
    if not reads.record:
        check.wrong("empty", "There is no record in this file.", line=1)
    check.facts |= reads.facts()


def _all_good(reads: _Reads, lines: _Lines, group: list[bytes]) -> bool:
    """Count the whole records of a group if all of them are good, and pass over them."""
    whole = len(group) - len(group) % 4
    if not whole or not reads.all_good(group[:whole]):
        return False
    lines.pass_over(whole)
    return True
