"""Recognition: what a file is by its bytes, whatever its name says, also inside gzip and BGZF."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.datatypes import peek
from entrepot.datatypes.recognise import GLANCE
from entrepot.datatypes.registry import Registry
from entrepot.model.data_types import DataType, Magic, Means
from tests.support.lab_files import bgzf, corpus

REGISTRY = Registry()
#: Compressed by themselves already.
PACKED = {"bam", "bcf", "gzip"}


def test_the_corpus_has_every_type() -> None:
    assert {name.partition(":")[0] for name in corpus()} == {one.identifier for one in REGISTRY.all()}


@pytest.mark.parametrize("name", corpus())
def test_content_is_known_under_a_wrong_name(name: str) -> None:
    wanted = name.partition(":")[0]
    # Images and recordings of somebody else; and no name that says anything.
    for wrong in ("x.czi", "x", "x.png" if wanted != "png" else "x.jpg"):
        found = REGISTRY.recognise(wrong, corpus()[name][: peek.HEAD])
        assert (found.data_type, found.means) == (wanted, Means.CONTENT), wrong


@pytest.mark.parametrize("name", sorted(set(corpus()) - PACKED))
def test_content_is_known_inside_gzip_and_bgzf(name: str) -> None:
    wanted, data = name.partition(":")[0], corpus()[name]
    for packed, how in ((gzip.compress(data), "gzip"), (bgzf(data), "bgzf"), (bgzf(b"") + bgzf(data), "bgzf")):
        found = REGISTRY.recognise("x.bin", packed[: peek.HEAD])
        assert (found.data_type, found.compression) == (wanted, how)


@pytest.mark.parametrize(
    ("name", "head", "wanted"),
    [
        ("reads.fastq", b"\x00\x01\x02 garbage", "fastq"),
        ("a.vcf", b"no header at all\nx\n", "vcf"),
        ("plain.bed", b"scaf\t1\t2\nscaf\t3\t4\n", "bed"),
        ("a.tsv", b"chr1\t1\t2\nchr1\t3\t4\n", "tsv"),
        ("table.txt", b"a\tb\n1\t2\n", "tsv"),
        ("table.csv", b"a\tb\n1\t2\n", "tsv"),
        ("notes.md", b"One, two.\nThree.\n", "text"),
        ("one.jsonl", b'{"a": 1}\n', "ndjson"),
        ("one.json", b'{"a": 1}\n', "json"),
        ("cells.h5ad", b"\x89HDF\r\n\x1a\n" + bytes(100), "anndata"),
        ("x.ome.tif", b"II*\x00" + bytes(100), "ome-tiff"),
        ("store.zarr.zip", b"PK\x03\x04" + bytes(100), "zarr"),
        ("reads.fq.gz", gzip.compress(b""), "fastq"),
        ("empty.csv", b"", "csv"),
        ("x", b"", None),
        ("x", bytes(range(256)), None),
    ],
)
def test_the_name_decides_where_content_says_little(name: str, head: bytes, wanted: str | None) -> None:
    assert REGISTRY.recognise(name, head).data_type == wanted


def test_a_last_line_that_is_cut_does_not_count() -> None:
    head = b"a,b\n" + b"1,2\n" * 20_000
    assert REGISTRY.recognise("x", head[: peek.HEAD]).data_type == "csv"
    assert REGISTRY.recognise("x", ("ä" * 40_000).encode()[: peek.HEAD - 1], whole=False).data_type == "text"


def test_what_comes_out_of_a_compressed_head_is_bounded() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    assert len(peek.inflate(bomb)) == peek.HEAD
    empties = bgzf(b"") * 2000
    assert peek.inflate(empties) == b""


def test_rubbish_is_looked_at_without_complaint() -> None:
    for seed in range(200):
        noise = os.urandom(seed)
        for magic in (b"", b"\x1f\x8b\x08", b"\x1f\x8b\x08\x04" + bytes(8), b"II*\0", b"PK\x03\x04", b"@", b">", b"{"):
            REGISTRY.recognise("x.gz", magic + noise)
    cut = zlib.compress(b"x")
    assert peek.inflate(b"\x1f\x8b" + cut) == b""


def test_a_glance_at_real_files_says_nothing_else_than_a_look() -> None:
    for data in corpus().values():
        for name in ("x", "x.czi", "x.png", "x.csv"):
            found = REGISTRY.recognise_binary(name, data[:GLANCE])
            assert found in (None, REGISTRY.recognise(name, data[: peek.HEAD]))


BEGINNINGS = st.sampled_from(
    [b"", b"\x1f\x8b\x08\x04", b"\xff\xfe", b"\xfe\xff", b"II*\x00", b"PK\x03\x04", b"\xff\xff\xff\xff"]
)


@given(BEGINNINGS, st.binary(max_size=600), st.binary(max_size=600), st.sampled_from(["x", "a/x.czi", "x.csv", "x.gz"]))
def test_a_glance_says_nothing_else_than_a_look(begins: bytes, one: bytes, other: bytes, name: str) -> None:
    data = begins + one + b"\x00" * (len(one) % 2) + other
    found = REGISTRY.recognise_binary(name, data[:GLANCE])
    assert found in (None, REGISTRY.recognise(name, data))


def test_most_binary_files_take_a_glance() -> None:
    told = [REGISTRY.recognise_binary("x.czi", os.urandom(GLANCE)) for _ in range(100)]
    assert sum(one is not None for one in told) > 80


def test_no_glance_passes_over_a_type_of_the_settings() -> None:
    added = DataType("ours", "Ours", "", (), magic=(Magic(b"ours", 900),))
    data = bytes(900) + b"ours"
    registry = Registry([added])
    assert registry.recognise_binary("x", data) is None
    assert registry.recognise("x", data).data_type == "ours"
