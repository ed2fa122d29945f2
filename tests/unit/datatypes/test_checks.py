"""The checks: good files pass with their facts, and each kind of damage is found and named with its place."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from typing import Any

import pytest

from entrepot.datatypes import readers
from entrepot.datatypes.examine import examine
from entrepot.datatypes.reading import LISTED
from entrepot.datatypes.registry import Registry
from entrepot.model.data_types import Report, Standing
from tests.support.lab_files import BED, CSV, FASTA, FASTQ, GFF, GTF, MTX, SAM, TSV, VCF, bgzf, corpus

REGISTRY = Registry()


class Bytes:
    """A content in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def look(data: bytes, data_type: str | None = None, **how: Any) -> Report:
    return examine(Bytes(data), data_type, REGISTRY, **how)


def without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("h5py", "nibabel", "PIL", "pydicom", "pysam", "tifffile"):
        monkeypatch.setitem(sys.modules, name, None)


# Good files


@pytest.mark.parametrize("name", corpus())
def test_a_good_file_is_good(name: str) -> None:
    found = look(corpus()[name])
    assert (found.standing, found.findings) == (Standing.GOOD, ())
    assert found.examined_as == found.recognised == name.partition(":")[0]
    assert found.facts
    assert found.checked_with[0].startswith("entrepot ")


@pytest.mark.parametrize("name", corpus())
def test_a_good_file_is_good_without_any_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_libraries(monkeypatch)
    found = look(corpus()[name])
    assert (found.standing, found.findings, len(found.checked_with)) == (Standing.GOOD, (), 1)


@pytest.mark.parametrize("name", ["fastq", "vcf", "csv", "nifti", "npy", "tar", "mtx"])
def test_a_good_file_is_good_when_it_is_compressed(name: str) -> None:
    for packed in (gzip.compress(corpus()[name]), bgzf(corpus()[name])):
        found = look(packed)
        assert (found.standing, found.examined_as) == (Standing.GOOD, name)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("fastq", {"reads": 2, "bases": 7}),
        ("fasta", {"sequences": 2, "residues": 16, "names": ["chr1", "chr2"], "alphabet": "nucleotide"}),
        ("sam", {"alignments": 1, "mapped": 1, "samples": ["liver"], "contig_names": ["chr1"]}),
        ("bam", {"alignments": 3, "mapped": 3, "samples": ["liver"], "contigs": 1, "longest_read": 4}),
        ("cram", {"alignments": 3, "contig_names": ["chr1"]}),
        ("vcf", {"variants": 1, "snvs": 1, "samples": ["liver"], "contigs": 1}),
        ("bcf", {"variants": 1, "samples": ["liver"], "contigs": 1}),
        ("gff", {"features": 1, "feature_types": {"gene": 1}}),
        ("bed", {"intervals": 2, "columns": 6, "bases": 110}),
        ("bigwig", {"contigs": 1, "signal": {"bases": 10, "min": 1.0, "max": 3.0, "mean": 2.0}}),
        ("csv", {"rows": 2, "columns": 2, "column_names": ["name", "size"]}),
        ("ndjson", {"records": 2, "fields": ["a", "b"]}),
        ("json", {"value": "object", "fields": ["a", "b"]}),
        ("parquet", {"rows": 2, "column_names": ["name", "size"], "column_types": ["bytes", "int64"]}),
        ("arrow", {"rows": 2, "batches": 1, "column_names": ["name", "size"], "form": "file"}),
        ("arrow:stream", {"rows": 2, "column_names": ["name", "size"], "form": "stream"}),
        ("h5", {"arrays": [{"path": "values/x", "shape": [1, 3], "dtype": "float64"}], "groups": 1}),
        ("anndata", {"observations": 3, "variables": 2, "shape": [3, 2], "obs_columns": ["tissue"]}),
        ("netcdf", {"dimensions": {"time": 3}}),
        ("netcdf:classic", {"dimensions": {"time": 3}}),
        ("zarr", {"format": 3, "node": "array", "shape": [4, 4]}),
        ("npy", {"shape": [3, 4], "dtype": "<i4", "order": "c"}),
        ("mtx", {"shape": [3, 2], "entries": 2, "values": "integer"}),
        ("tiff", {"pages": 2, "width": 8, "height": 6, "bits": 8}),
        ("ome-tiff", {"channels": ["DAPI", "GFP"], "pixel_size": {"x": 0.5}}),
        ("png", {"width": 8, "height": 6, "colour": "rgb", "mode": "RGB"}),
        ("jpeg", {"width": 8, "height": 6, "colour": "colour"}),
        ("dicom", {"modality": "CT", "rows": 2, "columns": 3, "pixels": True}),
        ("nifti", {"shape": [4, 5, 6], "dtype": "int16", "voxel_size": [1.0, 1.0, 1.0], "orientation": "RAS"}),
        ("pdf", {"version": "1.4", "pages": 1}),
        ("zip", {"members": 2, "bytes": 705, "names": ["a.txt", "b/c.txt"]}),
        ("tar", {"members": 2, "bytes": 705, "names": ["a.txt", "b/c.txt"]}),
        ("gzip", {"bytes": 1024}),
        ("text", {"lines": 2}),
    ],
)  # fmt: skip
def test_what_is_read_out(name: str, facts: dict[str, Any]) -> None:
    found = look(corpus()[name]).facts
    assert {key: found.get(key) for key in facts} == facts


def test_nothing_of_a_patient_is_read_out() -> None:
    assert "Nobody" not in repr(look(corpus()["dicom"]).facts)


# Damage

#: (type, what is done to the good file, the finding, its line or record).
BAD: list[tuple[str, Callable[[bytes], bytes], str, int | None]] = [
    ("fastq", lambda _: FASTQ.replace(b"IIII#", b"III"), "unequal_lengths", 4),
    ("fastq", lambda _: FASTQ.replace(b"@r2", b"r2"), "bad_header", 5),
    ("fastq", lambda _: FASTQ[:-6], "truncated", 5),
    ("fastq", lambda _: FASTQ.replace(b"+\n", b"-\n"), "bad_separator", 3),
    ("fastq", lambda _: FASTQ.replace(b"AC\n", b"A1\n"), "bad_bases", 6),
    ("fastq", lambda _: FASTQ.replace(b"+r2", b"+rx"), "names_differ", 7),
    ("fasta", lambda _: FASTA.replace(b"NNNN", b"NN1N"), "bad_residue", 5),
    ("fasta", lambda _: b">a\n>b\nAC\n", "empty_record", 1),
    ("fasta", lambda _: b"ACGT\n", "no_header", 1),
    ("sam", lambda _: SAM.replace(b"ACGT\tIIII", b"ACGT\tIII"), "unequal_lengths", 4),
    ("sam", lambda _: SAM.replace(b"4M", b"5M"), "cigar_length", 4),
    ("sam", lambda _: SAM.replace(b"\tchr1\t10", b"\tchr2\t10"), "unknown_reference", 4),
    ("sam", lambda _: SAM.replace(b"\t10\t60", b"\t1001\t60"), "beyond_reference", 4),
    ("sam", lambda _: SAM + b"r2\t0\tchr1\n", "columns", 5),
    ("bam", lambda good: good[:-28], "no_eof_block", None),
    ("bam", lambda good: good[:-40], "truncated", None),
    ("bam", lambda good: bgzf(gzip.decompress(good)[:-7]), "truncated", None),
    ("bam", lambda good: good[: len(good) // 2] + b"\xff" * 8 + good[len(good) // 2 + 8 :], "damaged_gzip", None),
    ("bam", lambda good: bgzf(gzip.decompress(good) + struct.pack("<i", 1 << 30)), "bad_length", None),
    ("bam", lambda good: gzip.compress(gzip.decompress(good)), "not_bgzf", None),
    ("bam", lambda _: SAM, "not_bgzf", None),
    ("cram", lambda good: good[:-38], "no_eof_container", None),
    ("cram", lambda good: good[:-60], "truncated", None),
    ("cram", lambda good: good[:30] + b"\x7f" + good[31:], "checksum", None),
    ("bcf", lambda good: bgzf(gzip.decompress(good)[:-3]), "truncated", None),
    ("bcf", lambda _: VCF, "not_bgzf", None),
    ("vcf", lambda _: VCF.replace(b"\t0/1", b""), "columns", 4),
    ("vcf", lambda _: VCF.replace(b"\t10\t", b"\tten\t"), "bad_position", 4),
    ("vcf", lambda _: VCF.replace(b"\tA\tG", b"\tQ7\tG"), "bad_reference", 4),
    ("vcf", lambda _: VCF.split(b"\n", 1)[1], "no_fileformat", 1),
    ("gff", lambda _: GFF.replace(b"\t1\t100", b"\t200\t100"), "start_after_end", 2),
    ("gff", lambda _: GFF.replace(b"\t+\t", b"\tplus\t"), "bad_strand", 2),
    ("gff", lambda _: GFF.replace(b"\t.\tID", b" .\tID"), "columns", 2),
    ("gtf", lambda _: GTF.replace(b'gene_id "g2";', b"gene_id=g2"), "bad_attributes", 2),
    ("bed", lambda _: BED.replace(b"50\t60", b"60\t50"), "start_after_end", 2),
    ("bed", lambda _: BED.replace(b"50\t60", b"x\t60"), "bad_coordinates", 2),
    ("bigwig", lambda good: good[:100], "truncated", None),
    ("csv", lambda _: CSV + b"bob\n", "ragged_row", 4),
    ("csv", lambda _: CSV + b'"bob,3\n', "open_quote", 4),
    ("csv", lambda _: b"a,a\n1,2\n", "column_twice", 1),
    ("tsv", lambda _: TSV + b"x\ty\tz\n", "ragged_row", 4),
    ("ndjson", lambda good: good + b'{"a": \n', "bad_json", 3),
    ("ndjson", lambda good: good + b"\n" + good, "empty_line", 3),
    ("json", lambda good: good[:-3], "bad_json", 3),
    ("parquet", lambda good: good[:-4], "truncated", None),
    ("parquet", lambda good: good[:4] + good[-100:], "bad_length", None),
    ("arrow", lambda good: good[:-6], "truncated", None),
    ("arrow", lambda good: good[:300], "truncated", None),
    ("h5", lambda good: good[:-10], "truncated", None),
    ("netcdf", lambda _: corpus()["netcdf:classic"][:-5], "truncated", None),
    ("zarr", lambda good: good.replace(b'"zarr_format": 3', b'"zarr_format": 9'), "version", None),
    ("npy", lambda good: good[:-4], "truncated", None),
    ("npy", lambda good: good + b"x", "rubbish", None),
    ("mtx", lambda _: MTX.replace(b"3 2 7", b"4 2 7"), "outside", 5),
    ("mtx", lambda _: MTX[:-6], "count", None),
    ("tiff", lambda good: good[:4] + struct.pack("<I", 1 << 20) + good[8:], "truncated", None),
    ("ome-tiff", lambda _: corpus()["tiff"], "no_ome", None),
    ("png", lambda good: good[:-20], "truncated", None),
    ("png", lambda good: good.replace(b"IDAT", b"IDAX"), "checksum", None),
    ("jpeg", lambda good: good[:-2], "truncated", None),
    ("dicom", lambda good: good[:-3], "truncated", None),
    ("dicom", lambda good: good[128:], "bad_magic", None),
    ("nifti", lambda good: good[:-2], "truncated", None),
    ("nifti", lambda good: good[:70] + b"\x63\x00" + good[72:], "bad_type", None),
    ("pdf", lambda good: good[:-7], "truncated", None),
    ("pdf", lambda good: good.replace(b"startxref\n", b"startxref\n9"), "bad_xref", None),
    ("zip", lambda good: good[:-30], "truncated", None),
    ("zip", lambda good: b"XX" + good[2:], "bad_member", None),
    ("tar", lambda good: good[:1000], "truncated", None),
    ("tar", lambda good: b"z" + good[1:], "checksum", None),
    ("gzip", lambda good: good[:-9], "truncated", None),
    ("text", lambda good: good + b"\x00", "binary", 3),
]


@pytest.mark.parametrize(("data_type", "damage", "code", "place"), BAD)
def test_damage_is_found_and_named(
    data_type: str, damage: Callable[[bytes], bytes], code: str, place: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_libraries(monkeypatch)
    found = look(damage(corpus()[data_type]), data_type)
    assert found.standing is Standing.BAD
    named = [one for one in found.findings if one.code == code]
    assert named, [(one.code, one.message) for one in found.findings]
    assert named[0].message.endswith(".")
    if place is not None:
        assert place in (named[0].line, named[0].record)


def test_every_type_has_a_red_case() -> None:
    assert {one.identifier for one in REGISTRY.all()} - {kind for kind, *_ in BAD} == {"anndata"}


def test_an_anndata_that_contradicts_itself_is_found() -> None:
    import h5py

    out = io.BytesIO(corpus()["anndata"])
    with h5py.File(out, "r+") as file:
        del file["X"]
        file.create_dataset("X", data=[[1.0, 2.0]])
    found = look(out.getvalue(), "anndata")
    assert [one.code for one in found.findings] == ["count"]


def test_pixels_that_cannot_be_decoded_are_found_by_a_library() -> None:
    import zlib

    good = corpus()["png"]
    at = good.index(b"IDAT")
    length = int.from_bytes(good[at - 4 : at], "big")
    body = b"\x00" * length
    bad = good[: at + 4] + body + struct.pack(">I", zlib.crc32(b"IDAT" + body)) + good[at + 8 + length :]
    found = look(bad, "png")
    assert (found.standing, found.findings[0].code) == (Standing.BAD, "unreadable")


# Bounds


def test_all_findings_are_counted_and_the_first_are_kept() -> None:
    found = look(b"a,b\n" + b"1\n" * 5000, "csv")
    assert (found.found, len(found.findings), found.findings[0].line) == (5000, LISTED, 2)


def test_a_bad_record_does_not_make_the_good_ones_after_it_bad() -> None:
    found = look(FASTQ.replace(b"@r1", b"r1") + FASTQ, "fastq")
    assert [(one.code, one.record) for one in found.findings] == [("bad_header", 1)]
    assert found.facts["reads"] == 3


def test_a_check_ends_when_its_time_is_over() -> None:
    now = iter(range(1000))
    found = look(b"@r\nA\n+\nI\n" * 1_000_000, "fastq", seconds=5, clock=lambda: float(next(now)))
    assert (found.standing, found.findings[-1].code) == (Standing.UNFINISHED, "out_of_time")


def test_an_empty_file_is_no_file_of_its_type() -> None:
    assert [one.code for one in look(b"", "bam").findings] == ["empty"]
    assert look(b"").standing is Standing.UNCHECKED


def test_an_empty_text_is_a_text() -> None:
    found = look(b"", "text")
    assert (found.standing, found.findings, found.facts["lines"]) == (Standing.GOOD, (), 0)


@pytest.mark.parametrize("name", corpus())
def test_no_cut_of_a_file_makes_a_check_stumble(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises says `unreadable`; our own never should, wherever the file ends."""
    without_libraries(monkeypatch)
    data, kind = corpus()[name], name.partition(":")[0]
    for end in sorted({*range(1, min(len(data), 40)), *range(40, len(data), max(1, len(data) // 40))}):
        found = look(data[:end], kind)
        assert "unreadable" not in [one.code for one in found.findings], (end, found.findings)


def test_every_library_is_one_that_the_extra_brings() -> None:
    assert set(readers.LIBRARIES) == {"h5py", "nibabel", "PIL", "pydicom", "pysam", "tifffile"}
