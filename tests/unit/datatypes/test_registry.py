"""The registry: what is in it, what a server's settings may add, and what unknown names are answered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from entrepot.datatypes.registry import Registry, read_types
from entrepot.model.errors import Invalid, NotFound
from entrepot.server import config

# fmt: off
ASKED_FOR = {
    "fastq", "fasta", "bam", "cram", "sam", "vcf", "bcf", "gff", "gtf", "bed", "bigwig", "csv", "tsv", "ndjson", "json",
    "parquet", "arrow", "h5", "anndata", "zarr", "netcdf", "tiff", "ome-tiff", "png", "jpeg", "dicom", "nifti", "npy",
    "mtx", "pdf", "text", "zip", "tar",
}
# fmt: on

CZI: dict[str, Any] = {
    "identifier": "czi",
    "name": "Zeiss CZI",
    "description": "Images of a Zeiss microscope.",
    "suffixes": [".czi"],
    "media_type": "image/x-czi",
    "magic": [{"text": "ZISRAWFILE"}],
}


def test_every_type_has_what_lists_show() -> None:
    registry = Registry()
    assert {one.identifier for one in registry.all()} >= ASKED_FOR
    for one in registry.all():
        assert one.name
        assert one.description.endswith(".")
        assert one.suffixes
        assert all(suffix == suffix.lower() and not suffix.startswith(".") for suffix in one.suffixes)


def test_no_two_types_share_a_suffix() -> None:
    suffixes = [suffix for one in Registry().all() for suffix in one.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_an_unknown_type_is_refused_with_the_closest_name() -> None:
    registry = Registry()
    assert registry.declared("FastQ") == "fastq"
    with pytest.raises(Invalid, match="Did you mean fastq") as refused:
        registry.declared("fastqq")
    assert "fastq" in refused.value.details["known"]
    with pytest.raises(NotFound, match="Known are fastq, fasta"):
        registry.find("zzzzzzzz")


def test_settings_add_types() -> None:
    registry = Registry(read_types([CZI]))
    czi = registry.find("czi")
    assert (czi.suffixes, czi.is_own) == (("czi",), False)
    assert registry.recognise("a.bin", b"ZISRAWFILE" + bytes(100)).data_type == "czi"
    assert registry.recognise("a.czi", bytes(100)).data_type == "czi"
    assert registry.all()[-1] is czi


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"identifier": "Czi!"}, "identifier must be"),
        ({"identifier": "fastq"}, "there is a type 'fastq' already"),
        ({"suffixes": "czi"}, "suffixes must be a list"),
        ({"suffixes": ["a/b"]}, "'a/b' is no suffix"),
        ({"suffixes": [], "magic": []}, "give suffixes or magic"),
        ({"magic": [{"hex": "zz"}]}, "'zz' is not hexadecimal"),
        ({"magic": [{"hex": "00"}]}, "from 2 to 64 bytes"),
        ({"magic": [{"hex": "0000", "offset": -1}]}, "offset of magic"),
        ({"magic": ["x"]}, "write magic as"),
        ({"colour": "red"}, "'colour' is none of"),
        ({"media_type": "czi"}, "media_type must be"),
        ({"text": "yes"}, "text must be true or false"),
        ({"name": "a\nb"}, "name must be a text"),
    ],
)
def test_a_fault_in_a_type_of_the_settings_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="type 1") as refused:
        read_types([{**CZI, **change}])
    assert said in str(refused.value)


def test_types_of_the_settings_come_from_the_file_or_the_environment(tmp_path: Any) -> None:
    (tmp_path / "entrepot.toml").write_text('[[data_types]]\nidentifier = "czi"\nsuffixes = ["czi"]\n')
    read = config.load(data=tmp_path)
    assert [one.identifier for one in read.added_types()] == ["czi"]
    again = config.load(environ=config.environment(read))
    assert again.added_types() == read.added_types()
    with pytest.raises(Invalid, match=r"data_types .* has a fault in type 1: it is no table"):
        config.load({"data_types": json.dumps([1])})
    with pytest.raises(Invalid, match="data_types"):
        config.load({"data_types": "{"})


def test_the_reference_page_lists_every_type() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/data-types.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \| (.+) \| (.+) \|$", page, re.M)
    told = [(one.identifier, one.name, one.description) for one in Registry().all()]
    assert [row[:3] for row in rows if row[0] in {kind for kind, *_ in told}] == told
    for one in Registry().all():
        assert all(f"`.{suffix}`" in page for suffix in one.suffixes)
