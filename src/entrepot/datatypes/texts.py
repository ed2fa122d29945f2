"""What kind of text a file begins with: signatures of text formats, and shapes of lines where a format has none.

Only whole lines are judged: the last one of a head is cut somewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Shape", "are_kin", "shape"]

#: Lines that are looked at.
_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Shape:
    """A format that a text looks like. `sure` when nothing else looks so."""

    data_type: str
    sure: bool


#: Formats that look like one another; the name of a file decides between two of them.
_KIN: Final = (
    frozenset({"tsv", "bed", "gff", "gtf", "sam", "vcf", "text"}),
    frozenset({"csv", "tsv"}),
    frozenset({"csv", "text", "json"}),
    frozenset({"json", "ndjson"}),
    frozenset({"fasta", "text"}),
)
#: Of those, what a name alone cannot make of lines that are clearly something else.
_NOT_BY_NAME: Final = frozenset({("text", "tsv"), ("text", "csv"), ("csv", "tsv"), ("tsv", "csv"), ("json", "csv")})

_SAM_HEADER: Final = re.compile(r"@(HD|SQ|RG|PG)\t[A-Za-z][A-Za-z0-9]:|@CO\t")
#: Control characters that are in no text, and in none of an old encoding; characters that are looked at for them.
_STRANGE: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_STRANGER: Final = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f]")
_LOOKED_AT: Final = 4096
_SEQUENCE: Final = re.compile(r"[A-Za-z*.\-~]+")
_WHOLE: Final = re.compile(r"[0-9]+")
_CHROMOSOME: Final = re.compile(r"(chr|scaffold|contig|NC_|NT_|chromosome)[A-Za-z0-9_.]*|[0-9]{1,2}|X|Y|MT?", re.I)


def are_kin(named: str, looks: str) -> bool:
    """Whether a name may decide that what looks like the one is the other."""
    return (named, looks) not in _NOT_BY_NAME and any(named in kin and looks in kin for kin in _KIN)


def shape(head: bytes, *, whole: bool) -> Shape | None:
    """What the text looks like; None when it is no text.

    Args:
        whole: Whether `head` is the entire file, so that its last line counts.
    """
    text = _decode(head)
    if text is None:
        return None
    lines = text.split("\n", _LINES)
    if len(lines) > _LINES or not whole:
        lines = lines[:-1] or lines
    lines = [line.removesuffix("\r") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return None
    return _signed(lines, text) or _shaped(lines) or Shape("text", False)


def _decode(head: bytes) -> str | None:
    if not head:
        return None
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and len(head) % 2 == 0:
        try:
            return head.decode("utf-16")
        except UnicodeDecodeError:
            return None
    if b"\x00" in head:
        return None
    # A table of a spreadsheet is often in an old encoding; what has no control characters is text all the same.
    cut = head
    for _ in range(4):
        try:
            return _without_controls(cut.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            if error.start < len(head) - 4:
                return _without_controls(head.decode("latin-1"), strict=True)
            cut = cut[: error.start]
    return None


def _without_controls(text: str, *, strict: bool = False) -> str | None:
    """The text, or None when control characters show that it is none."""
    strange = (_STRANGER if strict else _STRANGE).search(text, 0, _LOOKED_AT)
    return text if strange is None else None


def _signed(lines: Sequence[str], text: str) -> Shape | None:
    first = lines[0]
    if first.startswith("##fileformat=VCF"):
        return Shape("vcf", True)
    if first.startswith("%%MatrixMarket"):
        return Shape("mtx", True)
    if _SAM_HEADER.match(first):
        return Shape("sam", True)
    if first.startswith("##gff-version"):
        return Shape("gff" if "3" in first[13:] else "gtf", True)
    if first.startswith(("track ", "browser ")):
        return Shape("bed", True)
    if _is_fastq(lines):
        return Shape("fastq", True)
    if _is_fasta(lines):
        return Shape("fasta", True)
    return _json(lines, text)


def _is_fastq(lines: Sequence[str]) -> bool:
    """An `@` line, a sequence and a `+` line; what is wrong further on is for the check to say."""
    if not lines[0].startswith("@") or len(lines) < 3:
        return False
    for at in range(1, min(len(lines), 50)):
        if lines[at].startswith("+"):
            return at > 1 and (lines[at] == "+" or lines[at][1:] == lines[0][1:] or at == 2)
        if not _SEQUENCE.fullmatch(lines[at]):
            return False
    return False


def _is_fasta(lines: Sequence[str]) -> bool:
    named = next((at for at, line in enumerate(lines) if line and not line.startswith(";")), None)
    if named is None or not lines[named].startswith(">") or len(lines[named]) < 2:
        return False
    follows = [line for line in lines[named + 1 :] if line][:5]
    return bool(follows) and all(line.startswith((">", ";")) or _SEQUENCE.fullmatch(line) for line in follows)


def _json(lines: Sequence[str], text: str) -> Shape | None:
    start = text.lstrip("\ufeff \t\r\n")[:1]
    if not start or start not in "{[":
        return None
    rows = [line for line in lines if line.strip()]
    first = _parsed(rows[0])
    if first is None:
        # Not whole on its first line: one value over many lines, if it goes on like JSON.
        return Shape("json", True) if re.match(r"[{\[]\s*([\"{\[\]}0-9tfn-]|$)", text.lstrip("\ufeff \t\r\n")) else None
    if "zarr_format" in first and isinstance(first, dict):
        return Shape("zarr", True)
    if len(rows) == 1:
        return Shape("json", False)
    return Shape("ndjson", _parsed(rows[1]) is not None) if rows[1].lstrip()[:1] in ("{", "[") else None


def _parsed(line: str) -> dict[str, object] | list[object] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _shaped(lines: Sequence[str]) -> Shape | None:
    rows = [line for line in lines if line and not line.startswith("#")][:50]
    if not rows:
        return None
    cells = [row.split("\t") for row in rows]
    counts = {len(row) for row in cells}
    if min(counts) >= 2:
        return Shape(_tabbed(cells, counts), False) if len(rows) > 1 or min(counts) >= 3 else None
    return _separated(rows)


def _tabbed(cells: Sequence[Sequence[str]], counts: set[int]) -> str:
    if counts == {9} and all(_WHOLE.fullmatch(row[3]) and _WHOLE.fullmatch(row[4]) for row in cells):
        return "gtf" if any(re.match(r"\w+ \"", row[8]) for row in cells) else "gff"
    if min(counts) >= 11 and all(_WHOLE.fullmatch(row[1]) and _WHOLE.fullmatch(row[3]) for row in cells):
        return "sam"
    if min(counts) >= 3 and all(
        _CHROMOSOME.fullmatch(row[0]) and _WHOLE.fullmatch(row[1]) and _WHOLE.fullmatch(row[2]) for row in cells
    ):
        return "bed"
    return "tsv"


def _separated(rows: Sequence[str]) -> Shape | None:
    for mark in ",;":
        counts = {_columns(row, mark) for row in rows}
        if len(rows) > 1 and len(counts) == 1 and counts != {1}:
            return Shape("csv", False)
    return None


def _columns(row: str, mark: str) -> int:
    """Values of a line, those in quotes taken whole."""
    return row.count(mark) + 1 if '"' not in row else re.sub(r'"(?:[^"]|"")*"', "", row).count(mark) + 1
