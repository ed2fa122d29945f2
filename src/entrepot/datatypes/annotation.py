"""Checks of what is known along a genome: VCF, GFF3, GTF, BED; and of Matrix Market, a text of counts as well."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Final

from entrepot.datatypes.reading import Check, said
from entrepot.datatypes.sequences import NAMES, whole_number

__all__ = ["bed", "gff", "gtf", "mtx", "read_vcf_header", "vcf"]

_CONTIG: Final = re.compile(r"##contig=<.*?\bID=([^,>]+)")
_VCF_COLUMNS: Final = [b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO"]


def vcf(check: Check) -> None:
    contigs: list[str] = []
    samples: list[str] = []
    columns = records = snvs = 0
    for number, line in enumerate(check.lines(), 1):
        if number == 1 and not line.startswith(b"##fileformat=VCF"):
            check.wrong("no_fileformat", f"The first line is {said(line)}, not ##fileformat=VCF….", line=1)
        if line.startswith(b"##"):
            if number == 1:
                check.facts["version"] = line[13:].decode("utf-8", "replace")[:20]
            found = _CONTIG.match(line[:2000].decode("utf-8", "replace"))
            if found and len(contigs) < 100_000:
                contigs.append(found[1][:200])
            continue
        cells = line.split(b"\t")
        if line[:1] == b"#":
            columns = len(cells)
            if cells[:8] != _VCF_COLUMNS or (columns > 8 and cells[8] != b"FORMAT"):
                check.wrong("bad_header", f"Line {number} does not have the columns of VCF: {said(line)}.", line=number)
            samples = [one.decode("utf-8", "replace")[:200] for one in cells[9:]]
            if len(set(samples)) < len(samples):
                check.wrong("samples_twice", f"Line {number} names a sample twice.", line=number)
            continue
        if not line:
            check.wrong("empty_line", f"Line {number} is empty.", line=number)
            continue
        records += 1
        if not columns:
            check.wrong("no_header", f"Line {number} is a variant, but no line with #CHROM came before.", line=number)
            columns = len(cells)
        if len(cells) != columns:
            check.wrong(
                "columns",
                f"Line {number} has {len(cells)} columns, the header has {columns}.",
                line=number,
                record=records,
            )
        if len(cells) < 5:
            continue
        if whole_number(cells[1]) is None:
            check.wrong(
                "bad_position", f"Line {number} has the position {said(cells[1])}.", line=number, record=records
            )
        reference = cells[3].upper()
        if not reference or reference.translate(None, b"ACGTNRYSWKMBDHV*."):
            check.wrong(
                "bad_reference",
                f"Line {number} has the reference allele {said(cells[3])}.",
                line=number,
                record=records,
            )
        if (
            len(cells) > 5
            and cells[5] != b"."
            and not re.fullmatch(rb"[-+]?([0-9.]+([eE][-+]?[0-9]+)?|inf|nan)", cells[5], re.I)
        ):
            check.wrong("bad_quality", f"Line {number} has the quality {said(cells[5])}.", line=number, record=records)
        snvs += len(cells[3]) == 1 and all(len(one) == 1 for one in cells[4].split(b","))
    if not columns:
        check.wrong("no_header", "There is no line with #CHROM in this file.")
    check.facts |= {
        "variants": records,
        "snvs": snvs,
        "samples": samples[:NAMES],
        "sample_count": len(samples),
        "contigs": len(contigs),
        "contig_names": contigs[:NAMES],
    }


def read_vcf_header(check: Check, lines: list[bytes]) -> int:
    """Facts of a header that was read as a whole; how many samples it names."""
    contigs = [found[1] for line in lines if (found := _CONTIG.match(line[:2000].decode("utf-8", "replace")))]
    last = next((line for line in reversed(lines) if line.startswith(b"#CHROM")), b"")
    samples = [one.decode("utf-8", "replace")[:200] for one in last.split(b"\t")[9:]]
    if not last:
        check.wrong("no_header", "The header has no line with #CHROM.")
    check.facts |= {
        "samples": samples[:NAMES],
        "sample_count": len(samples),
        "contigs": len(contigs),
        "contig_names": [name[:200] for name in contigs[:NAMES]],
    }
    return len(samples)


def _bases(check: Check, line: int, record: int, start: bytes, end: bytes, *, first: int) -> int:
    """How far it is from start to end; 0 when they cannot be, which is written down.

    Args:
        first: The number of the first base.
    """
    begins, ends = whole_number(start), whole_number(end)
    if begins is None or ends is None or begins < first:
        message = f"Line {line} goes from {said(start)} to {said(end)}."
        check.wrong("bad_coordinates", message, line=line, record=record)
    elif begins > ends:
        message = f"Line {line} begins at {begins} and ends before, at {ends}."
        check.wrong("start_after_end", message, line=line, record=record)
    else:
        return ends - begins
    return 0


def _features(check: Check, attributes: Callable[[bytes], bool], form: str) -> None:
    kinds: Counter[str] = Counter()
    contigs: dict[bytes, None] = {}
    records = 0
    for number, line in enumerate(check.lines(), 1):
        if line[:1] == b"#":
            if line.startswith(b"##FASTA"):
                break
            continue
        if not line.strip():
            continue
        records += 1
        cells = line.split(b"\t")
        if len(cells) != 9:
            check.wrong("columns", f"Line {number} has {len(cells)} columns, not 9.", line=number, record=records)
            continue
        _bases(check, number, records, cells[3], cells[4], first=1)
        if cells[6] not in (b"+", b"-", b".", b"?"):
            check.wrong("bad_strand", f"Line {number} has the strand {said(cells[6])}.", line=number, record=records)
        if cells[7] not in (b"0", b"1", b"2", b"."):
            check.wrong("bad_phase", f"Line {number} has the phase {said(cells[7])}.", line=number, record=records)
        if cells[8] not in (b".", b"") and not attributes(cells[8]):
            check.wrong(
                "bad_attributes",
                f"Line {number} has attributes that are not {form}: {said(cells[8])}.",
                line=number,
                record=records,
            )
        kind = cells[2].decode("utf-8", "replace")[:100]
        if kind in kinds or len(kinds) < NAMES:
            kinds[kind] += 1
        if len(contigs) < 100_000:
            contigs[cells[0]] = None
    if not records:
        check.wrong("empty", "There is no feature in this file.", line=1)
    names = [one.decode("utf-8", "replace")[:200] for one in islice(contigs, NAMES)]
    check.facts |= {
        "features": records,
        "feature_types": dict(kinds.most_common(50)),
        "contigs": len(contigs),
        "contig_names": names,
    }


_GFF_PAIRS: Final = re.compile(rb"\s*[^=;]+=[^;]*(;\s*[^=;]+=[^;]*)*;?\s*")
_GTF_PAIRS: Final = re.compile(rb'\s*\w+\s+("[^"]*"|[^";\s]+)\s*(;\s*\w+\s+("[^"]*"|[^";\s]+)\s*)*;?\s*(#.*)?')


def gff(check: Check) -> None:
    _features(check, lambda cell: _GFF_PAIRS.fullmatch(cell) is not None, "name=value with semicolons")


def gtf(check: Check) -> None:
    _features(check, lambda cell: _GTF_PAIRS.fullmatch(cell) is not None, 'name "value" with semicolons')


def bed(check: Check) -> None:
    columns = records = covered = 0
    contigs: dict[bytes, None] = {}
    for number, line in enumerate(check.lines(), 1):
        if line[:1] == b"#" or line.startswith((b"track", b"browser")) or not line.strip():
            continue
        records += 1
        cells = line.split(b"\t") if b"\t" in line else line.split()
        columns = columns or len(cells)
        if len(cells) < 3:
            check.wrong(
                "columns",
                f"Line {number} has {len(cells)} columns; an interval has at least 3.",
                line=number,
                record=records,
            )
            continue
        if len(cells) != columns:
            check.wrong(
                "columns",
                f"Line {number} has {len(cells)} columns, those before have {columns}.",
                line=number,
                record=records,
            )
        covered += _bases(check, number, records, cells[1], cells[2], first=0)
        if len(cells) > 5 and cells[5] not in (b"+", b"-", b"."):
            check.wrong("bad_strand", f"Line {number} has the strand {said(cells[5])}.", line=number, record=records)
        if len(contigs) < 100_000:
            contigs[cells[0]] = None
    if not records:
        check.wrong("empty", "There is no interval in this file.", line=1)
    names = [one.decode("utf-8", "replace")[:200] for one in islice(contigs, NAMES)]
    check.facts |= {
        "intervals": records,
        "columns": columns,
        "bases": covered,
        "contigs": len(contigs),
        "contig_names": names,
    }


def mtx(check: Check) -> None:
    """A banner, comments, a line of sizes, and as many entries as it says, inside the sizes."""
    lines = enumerate(check.lines(), 1)
    first = next(lines, (1, b""))[1].lower().split()
    if len(first) != 5 or first[0] != b"%%matrixmarket" or first[1] != b"matrix":
        raise check.stop(
            "bad_banner", f"The first line is {said(b' '.join(first))}, not %%MatrixMarket matrix ….", line=1
        )
    layout, field, symmetry = (one.decode("ascii", "replace") for one in first[2:])
    if layout not in ("coordinate", "array") or field not in ("real", "integer", "complex", "pattern"):
        raise check.stop("bad_banner", f"The first line says {layout[:20]!r} and {field[:20]!r}.", line=1)
    sizes: list[int] | None = None
    entries = 0
    wanted = 2 if layout == "array" else 3
    values = {"pattern": 0, "complex": 2}.get(field, 1)
    for number, line in lines:
        if line[:1] == b"%" or not line.strip():
            continue
        cells = line.split()
        if sizes is None:
            found = [whole_number(one) for one in cells]
            if len(found) != wanted or None in found:
                raise check.stop(
                    "bad_sizes", f"Line {number} should have {wanted} whole numbers: {said(line)}.", line=number
                )
            sizes = [one for one in found if one is not None]
            continue
        entries += 1
        if layout == "array":
            if len(cells) != values:
                check.wrong(
                    "columns", f"Line {number} has {len(cells)} values, not {values}.", line=number, record=entries
                )
            continue
        if len(cells) != 2 + values:
            check.wrong(
                "columns", f"Line {number} has {len(cells)} values, not {2 + values}.", line=number, record=entries
            )
            continue
        row, column = whole_number(cells[0]), whole_number(cells[1])
        if row is None or column is None or not (1 <= row <= sizes[0] and 1 <= column <= sizes[1]):
            check.wrong(
                "outside",
                f"Line {number} is an entry at {said(cells[0])}, {said(cells[1])} of {sizes[0]} by {sizes[1]}.",
                line=number,
                record=entries,
            )
    if sizes is None:
        raise check.stop("bad_sizes", "There is no line with the sizes.")
    told = sizes[2] if layout == "coordinate" else sizes[0] * sizes[1]
    if layout == "array" and symmetry != "general":
        told = entries
    if entries != told:
        check.wrong("count", f"There are {entries} entries; {told} were announced.", record=entries)
    check.facts |= {
        "shape": sizes[:2],
        "entries": entries,
        "layout": layout,
        "values": field,
        "symmetry": symmetry[:20],
    }
