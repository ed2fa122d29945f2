"""Checks of reads, sequences and alignments as text: FASTQ, FASTA, SAM."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from entrepot.datatypes.reading import Check, said

__all__ = ["NAMES", "fasta", "fastq", "read_sam_header", "sam", "whole_number"]

#: Names that are kept of those that a file has: contigs, samples.
NAMES: Final = 200
#: Different lengths that are told apart in a distribution.
_LENGTHS: Final = 1000

#: What is left of a good line when these are taken away is nothing; several times faster than a pattern.
_BASES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.*-~"
_QUALITIES: Final = bytes(range(33, 127))
_RESIDUES: Final = re.compile(rb"[A-Za-z*.\-\s]*")
_FIRST_STRANGE: Final = re.compile(rb"[^A-Za-z*.\-\s]")


class _Lengths:
    """How long the sequences are: least, most, mean, and how often which."""

    def __init__(self) -> None:
        self._counted: Counter[int] = Counter()
        self.n = 0
        self.total = 0
        self.least: int | None = None
        self.most = 0

    def add(self, length: int) -> None:
        self.n += 1
        self.total += length
        if self.least is None or length < self.least:
            self.least = length
        if length > self.most:
            self.most = length
        if length in self._counted or len(self._counted) < _LENGTHS:
            self._counted[length] += 1

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


def fastq(check: Check) -> None:
    """Records of four lines. After a bad one it goes on where the next one seems to begin."""
    lengths, bases, quality = _Lengths(), Counter[int](), [255, 0]
    lines = check.lines()
    number = record = 0
    ahead: list[bytes] = []

    def following() -> bytes | None:
        return ahead.pop(0) if ahead else next(lines, None)

    while (head := following()) is not None:
        number += 1
        if not head:
            if not ahead and (more := next(lines, None)) is not None:
                ahead.append(more)
            if ahead and ahead[0]:
                check.wrong("empty_line", f"Line {number} is empty between two records.", line=number)
            continue
        record += 1
        if head[:1] != b"@":
            check.wrong(
                "bad_header",
                f"Line {number} begins record {record} with {said(head)}, not with @.",
                line=number,
                record=record,
            )
            number += _resynchronise(lines, ahead)
            continue
        sequence, plus, scores = following(), following(), following()
        if sequence is None or plus is None or scores is None:
            check.wrong(
                "truncated",
                f"The file ends inside record {record}, which begins on line {number}.",
                line=number,
                record=record,
            )
            break
        number += 3
        if plus[:1] != b"+":
            check.wrong(
                "bad_separator",
                f"Line {number - 1} of record {record} is {said(plus)}, not a line with +.",
                line=number - 1,
                record=record,
            )
            ahead[:0] = [plus, scores]
            number -= 2
            number += _resynchronise(lines, ahead)
            continue
        if len(plus) > 1 and plus[1:] != head[1:]:
            check.wrong(
                "names_differ",
                f"Line {number - 1} names record {record} otherwise than its first line.",
                line=number - 1,
                record=record,
            )
        if len(head) == 1 or head[1:2].isspace():
            check.wrong("no_name", f"Record {record} on line {number - 3} has no name.", line=number - 3, record=record)
        if len(sequence) != len(scores):
            check.wrong(
                "unequal_lengths",
                f"Record {record} ({said(head[1:].split(b' ')[0])}) has {len(sequence)} bases and {len(scores)} "
                f"qualities, on line {number}.",
                line=number,
                record=record,
            )
        if sequence.translate(None, _BASES):
            check.wrong(
                "bad_bases",
                f"Line {number - 2} of record {record} has characters that are no bases.",
                line=number - 2,
                record=record,
            )
        if scores.translate(None, _QUALITIES):
            check.wrong(
                "bad_qualities",
                f"Line {number} of record {record} has characters that are no qualities.",
                line=number,
                record=record,
            )
        lengths.add(len(sequence))
        if record <= 10_000:
            bases.update(sequence.upper())
            if scores:
                quality = [min(quality[0], min(scores)), max(quality[1], max(scores))]
    if not record:
        check.wrong("empty", "There is no record in this file.", line=1)
    counted = sum(bases.values())
    check.facts |= {"reads": lengths.n, "bases": lengths.total, "read_length": lengths.facts()}
    if counted:
        check.facts["gc_percent"] = round(100 * (bases[71] + bases[67]) / counted, 1)
    if quality[1]:
        check.facts["quality_encoding"] = "phred33" if quality[0] < 59 else "phred64" if quality[0] >= 64 else "unknown"


def _resynchronise(lines: Iterator[bytes], ahead: list[bytes]) -> int:
    """Skip to where a record seems to begin; how many lines that were."""
    skipped = 0
    while True:
        while len(ahead) < 3 and (line := next(lines, None)) is not None:
            ahead.append(line)
        if not ahead or (ahead[0][:1] == b"@" and (len(ahead) < 3 or ahead[2][:1] == b"+")):
            return skipped
        ahead.pop(0)
        skipped += 1


def fasta(check: Check) -> None:
    lengths = _Lengths()
    names: list[str] = []
    seen_name = False
    length = at = number = 0
    dna = protein = 0

    def close() -> None:
        if seen_name:
            lengths.add(length)
            if not length:
                check.wrong(
                    "empty_record", f"Record {lengths.n} on line {at} has no sequence.", line=at, record=lengths.n
                )

    for number, line in enumerate(check.lines(), 1):
        if line[:1] == b">":
            close()
            seen_name, length, at = True, 0, number
            if len(names) < NAMES:
                names.append(line[1:].split(None, 1)[0].decode("utf-8", "replace")[:200] if line[1:].strip() else "")
            if not line[1:].strip():
                check.wrong(
                    "no_name", f"Line {number} begins a record without a name.", line=number, record=lengths.n + 1
                )
        elif line[:1] == b";" or not line.strip():
            continue
        elif not seen_name:
            raise check.stop(
                "no_header", f"Line {number} is {said(line)}; a FASTA file begins with a line with >.", line=number
            )
        else:
            length += len(line)
            if not _RESIDUES.fullmatch(line):
                strange = _FIRST_STRANGE.search(line)
                assert strange is not None
                check.wrong(
                    "bad_residue",
                    f"Line {number} of record {lengths.n + 1} has {said(strange.group())} at column "
                    f"{strange.start() + 1}, which is neither nucleotide nor amino acid.",
                    line=number,
                    record=lengths.n + 1,
                )
            elif dna + protein < 1000:
                upper = line.upper().translate(None, b"ACGTUN-.*")
                dna, protein = dna + (len(upper) * 10 < len(line)), protein + (len(upper) * 10 >= len(line))
    close()
    if not seen_name:
        check.wrong("empty", "There is no record in this file.", line=max(number, 1))
    check.facts |= {
        "sequences": lengths.n,
        "residues": lengths.total,
        "sequence_length": lengths.facts(),
        "names": names,
    }
    if dna + protein:
        check.facts["alphabet"] = "nucleotide" if dna >= protein else "protein"


def whole_number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < 20 else None


_CIGAR: Final = re.compile(rb"\*|([0-9]+[MIDNSHP=X])+")
_CIGAR_STEP: Final = re.compile(rb"([0-9]+)([MIDNSHP=X])")


def read_sam_header(lines: list[str], check: Check) -> dict[str, int]:
    """Facts of a SAM header; the lengths of its references by name."""
    contigs: dict[str, int] = {}
    samples: list[str] = []
    groups = 0
    programs: list[str] = []
    for line in lines:
        fields = dict(one.split(":", 1) for one in line.split("\t")[1:] if ":" in one)
        if line.startswith("@HD"):
            check.facts["sort_order"] = fields.get("SO", "unknown")[:20]
        elif line.startswith("@SQ") and "SN" in fields:
            length = fields.get("LN", "")
            contigs[fields["SN"]] = int(length) if length.isdigit() and len(length) < 20 else 0
        elif line.startswith("@RG"):
            groups += 1
            if (sample := fields.get("SM")) and sample not in samples and len(samples) < NAMES:
                samples.append(sample[:200])
        elif line.startswith("@PG") and len(programs) < 20:
            programs.append(fields.get("PN", fields.get("ID", ""))[:100])
    check.facts |= {
        "contigs": len(contigs),
        "contig_names": [name[:200] for name in islice(contigs, NAMES)],
        "samples": samples,
        "read_groups": groups,
        "programs": programs,
    }
    return contigs


def sam(check: Check) -> None:
    header: list[str] = []
    contigs: dict[str, int] | None = None
    records = mapped = 0
    for number, line in enumerate(check.lines(), 1):
        if line[:1] == b"@" and not records:
            if len(header) < 1_000_000:
                header.append(line.decode("utf-8", "replace"))
            continue
        if contigs is None:
            contigs = read_sam_header(header, check)
        if not line:
            check.wrong("empty_line", f"Line {number} is empty.", line=number)
            continue
        records += 1
        cells = line.split(b"\t")
        if len(cells) < 11:
            check.wrong(
                "columns",
                f"Line {number} has {len(cells)} columns; an alignment has at least 11.",
                line=number,
                record=records,
            )
            continue
        flag, position = whole_number(cells[1]), whole_number(cells[3])
        if flag is None or flag > 0xFFFF:
            check.wrong("bad_flag", f"Line {number} has the flag {said(cells[1])}.", line=number, record=records)
            flag = 0
        if position is None:
            check.wrong(
                "bad_position", f"Line {number} has the position {said(cells[3])}.", line=number, record=records
            )
        mapped += not flag & 4
        name = cells[2].decode("utf-8", "replace")
        if contigs and name != "*":
            if name not in contigs:
                check.wrong(
                    "unknown_reference",
                    f"Line {number} is on {said(name)}, which no @SQ line has.",
                    line=number,
                    record=records,
                )
            elif position is not None and contigs[name] and position > contigs[name]:
                check.wrong(
                    "beyond_reference",
                    f"Line {number} is at {position} of {said(name)}, which has {contigs[name]} bases.",
                    line=number,
                    record=records,
                )
        if not _CIGAR.fullmatch(cells[5]):
            check.wrong("bad_cigar", f"Line {number} has the CIGAR {said(cells[5])}.", line=number, record=records)
        elif cells[5] != b"*" and cells[9] != b"*":
            takes = sum(int(n) for n, step in _CIGAR_STEP.findall(cells[5]) if step in b"MIS=X")
            if takes != len(cells[9]):
                check.wrong(
                    "cigar_length",
                    f"Line {number} has a CIGAR of {takes} bases and a sequence of {len(cells[9])}.",
                    line=number,
                    record=records,
                )
        if cells[10] != b"*" and len(cells[9]) != len(cells[10]):
            check.wrong(
                "unequal_lengths",
                f"Line {number} has {len(cells[9])} bases and {len(cells[10])} qualities.",
                line=number,
                record=records,
            )
    if contigs is None:
        read_sam_header(header, check)
    check.facts |= {"alignments": records, "mapped": mapped}
