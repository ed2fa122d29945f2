"""Checks of sequences and alignments as text: FASTA, SAM."""

from __future__ import annotations

import re
from itertools import islice, pairwise
from typing import Final

from entrepot.datatypes.reading import Check, said
from entrepot.datatypes.reads import Lengths

__all__ = ["NAMES", "fasta", "read_sam_header", "sam", "whole_number"]

#: Names that are kept of those that a file has: contigs, samples.
NAMES: Final = 200
#: Lines from which it is told whether they are nucleotides.
_SAMPLED: Final = 1000
_PLAIN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz*.-"
_FIRST_STRANGE: Final = re.compile(rb"[^A-Za-z*.\-\s]")


class _Sequences:
    """What was read so far of a FASTA file."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._lengths = Lengths()
        self._names: list[str] = []
        self._has_name = False
        #: Bases of the record that is open, the line on which it began, and lines that were read.
        self._length = self._at = self._number = 0
        self._nucleotide = self._protein = 0

    def take(self, lines: list[bytes]) -> None:
        begins = [at for at, line in enumerate(lines) if line[:1] == b">"]
        for start, end in pairwise(dict.fromkeys((0, *begins, len(lines)))):
            # What is before the first of them goes on with a record that is open.
            for line in lines[start : start + 1]:
                self._line(line)
            if not self._all_plain(some := lines[start + 1 : end]):
                for line in some:
                    self._line(line)

    def _all_plain(self, lines: list[bytes]) -> bool:
        """Count these lines if they are nothing but the middle of a sequence; else nothing happens."""
        if not self._has_name or self._nucleotide + self._protein < _SAMPLED:
            return False
        joined = b"".join(lines)
        if joined.translate(None, _PLAIN):
            return False
        self._number += len(lines)
        self._length += len(joined)
        return True

    def _line(self, line: bytes) -> None:
        check, self._number = self._check, self._number + 1
        number = self._number
        if line[:1] == b">":
            self._close()
            self._has_name, self._length, self._at = True, 0, number
            name = line[1:].split(None, 1)
            if len(self._names) < NAMES:
                self._names.append(name[0].decode("utf-8", "replace")[:200] if name else "")
            if not name:
                record = self._lengths.n + 1
                check.wrong("no_name", f"Line {number} begins a record without a name.", line=number, record=record)
        elif line[:1] == b";" or not line.strip():
            return
        elif not self._has_name:
            raise check.stop(
                "no_header", f"Line {number} is {said(line)}; a FASTA file begins with a line with >.", line=number
            )
        else:
            self._length += len(line)
            if line.translate(None, _PLAIN) and (strange := _FIRST_STRANGE.search(line)) is not None:
                record = self._lengths.n + 1
                check.wrong(
                    "bad_residue",
                    f"Line {number} of record {record} has {said(strange.group())} at column {strange.start() + 1}, "
                    "which is neither nucleotide nor amino acid.",
                    line=number,
                    record=record,
                )
            elif self._nucleotide + self._protein < _SAMPLED:
                is_protein = len(line.upper().translate(None, b"ACGTUN-.*")) * 10 >= len(line)
                self._nucleotide, self._protein = self._nucleotide + (not is_protein), self._protein + is_protein

    def _close(self) -> None:
        if not self._has_name:
            return
        self._lengths.add(self._length)
        if not self._length:
            record = self._lengths.n
            self._check.wrong(
                "empty_record", f"Record {record} on line {self._at} has no sequence.", line=self._at, record=record
            )

    def end(self) -> None:
        self._close()
        check = self._check
        if not self._has_name:
            check.wrong("empty", "There is no record in this file.", line=max(self._number, 1))
        check.facts |= {
            "sequences": self._lengths.n,
            "residues": self._lengths.total,
            "sequence_length": self._lengths.facts(),
            "names": self._names,
        }
        if self._nucleotide + self._protein:
            check.facts["alphabet"] = "nucleotide" if self._nucleotide >= self._protein else "protein"


def fasta(check: Check) -> None:
    sequences = _Sequences(check)
    for lines in check.line_groups():
        sequences.take(lines)
    sequences.end()


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
