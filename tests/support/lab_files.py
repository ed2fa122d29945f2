"""Small files of every data type: text and simple formats by hand, the others by the libraries that labs use."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

FASTQ = b"@r1 one\nACGTN\n+\nIIII#\n@r2\nAC\n+r2\nII\n"
FASTA = b">chr1 first\nACGTACGT\nACGT\n>chr2\nNNNN\n"
SAM = (
    b"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:1000\n@RG\tID:a\tSM:liver\n"
    b"r1\t0\tchr1\t10\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
)
VCF = (
    b"##fileformat=VCFv4.2\n##contig=<ID=chr1,length=1000>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tliver\n"
    b"chr1\t10\t.\tA\tG\t50\tPASS\t.\tGT\t0/1\n"
)
GFF = b"##gff-version 3\nchr1\ttest\tgene\t1\t100\t.\t+\t.\tID=g1;Name=one\n"
GTF = (
    b'chr1\ttest\texon\t1\t100\t.\t+\t.\tgene_id "g1"; transcript_id "t1";\n'
    b'chr1\ttest\texon\t5\t9\t.\t-\t0\tgene_id "g2";\n'
)
BED = b"chr1\t0\t100\ta\t5\t+\nchr2\t50\t60\tb\t1\t-\n"
CSV = b'name,size\nada,1\n"a, b",2\n'
TSV = b"name\tsize\nada\t1\nbob\t2\n"
NDJSON = b'{"a": 1}\n{"a": 2, "b": "x"}\n'
JSON = b'{\n  "a": [1, 2],\n  "b": null\n}\n'
MTX = b"%%MatrixMarket matrix coordinate integer general\n% made by hand\n3 2 2\n1 1 5\n3 2 7\n"
TEXT = b"Notes of the day.\nNothing else happened.\n"


def bgzf(data: bytes, *, eof: bool = True) -> bytes:
    """As blocks of at most 60,000 bytes."""
    out = b""
    for start in range(0, len(data), 60_000):
        out += _block(data[start : start + 60_000])
    return out + (_block(b"") if eof else b"")


def _block(data: bytes) -> bytes:
    if not data:
        return bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    engine = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = engine.compress(data) + engine.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))


def _by_path(suffix: str, write: Callable[[str], Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x" + suffix)
        write(path)
        return Path(path).read_bytes()


def _alignments(mode: str, suffix: str) -> bytes:
    import pysam

    def write(path: str) -> None:
        header = pysam.AlignmentHeader.from_dict(
            {"HD": {"VN": "1.6"}, "SQ": [{"SN": "chr1", "LN": 1000}], "RG": [{"ID": "a", "SM": "liver"}]}
        )
        options = {"format_options": [b"no_ref=1"]} if mode == "wc" else {}
        with pysam.AlignmentFile(path, mode, header=header, **options) as out:
            for i in range(3):
                read = pysam.AlignedSegment(header)
                read.query_name, read.query_sequence, read.flag = f"r{i}", "ACGT", 0
                read.reference_id, read.reference_start, read.cigarstring = 0, 10 + i, "4M"
                read.query_qualities = pysam.qualitystring_to_array("IIII")
                out.write(read)

    return _by_path(suffix, write)


def _bcf() -> bytes:
    import pysam

    def write(path: str) -> None:
        header = pysam.VariantHeader()
        header.add_line("##contig=<ID=chr1,length=1000>")
        header.add_sample("liver")
        with pysam.VariantFile(path, "wb", header=header) as out:
            out.write(header.new_record(contig="chr1", start=9, stop=10, alleles=("A", "G")))

    return _by_path(".bcf", write)


def _bigwig() -> bytes:
    """Header, names, one section, index and summary, as they follow one another in such files."""
    tree, summary, data = 64 + 0, 96, 136
    index = data + 8
    head = struct.pack("<IHHQQQHHQQIQ", 0x888FFC26, 4, 0, tree, data, index, 0, 0, 0, summary, 0, 0)
    names = struct.pack("<IIIIQQ", 0x78CA8C91, 1, 4, 8, 1, 0)
    return (
        head
        + names
        + struct.pack("<Qdddd", 10, 1.0, 3.0, 20.0, 42.0)
        + struct.pack("<Q", 1)
        + struct.pack("<I", 0x2468ACE0)
        + bytes(44)
        + head[:4]
    )


def _table() -> Any:
    import pyarrow

    return pyarrow.table({"name": ["ada", "bob"], "size": [1, 2]})


def _parquet() -> bytes:
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(_table(), out)
    return out.getvalue()


def _arrow(stream: bool) -> bytes:
    import pyarrow.ipc

    out = io.BytesIO()
    make = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
    with make(out, _table().schema) as writer:
        writer.write_table(_table())
    return out.getvalue()


def _hdf5(fill: Callable[[Any], None]) -> bytes:
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        fill(file)
    return out.getvalue()


def _plain_h5(file: Any) -> None:
    file.create_dataset("values/x", data=[[1.0, 2.0, 3.0]])


def _anndata(file: Any) -> None:
    file.attrs["encoding-type"] = "anndata"
    file.attrs["encoding-version"] = "0.1.0"
    file.create_dataset("X", data=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    for axis, names in (("obs", [b"c1", b"c2", b"c3"]), ("var", [b"g1", b"g2"])):
        group = file.create_group(axis)
        group.attrs["_index"] = "_index"
        group.create_dataset("_index", data=names)
    file["obs"].create_dataset("tissue", data=[b"liver"] * 3)


def _netcdf4(file: Any) -> None:
    file.attrs["_NCProperties"] = "version=2,hdf5=1.14"
    scale = file.create_dataset("time", data=[1, 2, 3])
    scale.make_scale("time")


def _netcdf3() -> bytes:
    def name(text: str) -> bytes:
        return struct.pack(">i", len(text)) + text.encode() + b"\0" * (-len(text) % 4)

    dims = struct.pack(">ii", 10, 1) + name("time") + struct.pack(">i", 3)
    none = struct.pack(">ii", 0, 0)
    start = 4 + 4 + len(dims) + 8 + 8 + len(name("t")) + 4 + 4 + 8 + 12
    variable = name("t") + struct.pack(">ii", 1, 0) + none + struct.pack(">iii", 4, 12, start)
    head = b"CDF\x01" + struct.pack(">i", 0) + dims + none + struct.pack(">ii", 11, 1) + variable
    assert len(head) == start
    return head + struct.pack(">iii", 1, 2, 3)


def _npy() -> bytes:
    import numpy

    out = io.BytesIO()
    numpy.save(out, numpy.arange(12, dtype="<i4").reshape(3, 4))
    return out.getvalue()


def _image(form: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 30, 30)).save(out, form)
    return out.getvalue()


def _tiff(ome: bool) -> bytes:
    import numpy
    import tifffile

    out = io.BytesIO()
    planes = numpy.zeros((2, 6, 8), dtype="uint8")
    if ome:
        metadata = {
            "axes": "CYX",
            "Channel": {"Name": ["DAPI", "GFP"]},
            "PhysicalSizeX": 0.5,
            "PhysicalSizeXUnit": "µm",
        }
        tifffile.imwrite(out, planes, ome=True, metadata=metadata, photometric="minisblack")
    else:
        tifffile.imwrite(out, planes, photometric="minisblack", metadata=None)
    return out.getvalue()


def _dicom() -> bytes:
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID, found.Modality = CTImageStorage, "1.2.3", "CT"
    found.PatientName = "Nobody^Known"
    found.Rows, found.Columns, found.BitsAllocated, found.BitsStored, found.HighBit = 2, 3, 8, 8, 7
    found.SamplesPerPixel, found.PhotometricInterpretation, found.PixelRepresentation = 1, "MONOCHROME2", 0
    found.PixelData = bytes(6)
    out = io.BytesIO()
    pydicom.dcmwrite(out, found, enforce_file_format=True)
    return out.getvalue()


def _nifti() -> bytes:
    import nibabel
    import numpy

    return bytes(nibabel.Nifti1Image(numpy.zeros((4, 5, 6), dtype="int16"), numpy.eye(4)).to_bytes())


def _pdf() -> bytes:
    body = b"%PDF-1.4\n"
    places = []
    for i, text in enumerate(
        (
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R >>",
        ),
        1,
    ):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (i, text)
    at = len(body)
    body += b"xref\n0 4\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"trailer\n<< /Size 4 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % at


def _zip(names: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in names.items():
            archive.writestr(name, data)
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("a.txt", b"hello"), ("b/c.txt", b"x" * 700)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@cache
def corpus() -> dict[str, bytes]:
    """A good file of each type that comes with the program, and some second forms with a `:` in their names."""
    return {
        "fastq": FASTQ,
        "fasta": FASTA,
        "sam": SAM,
        "bam": _alignments("wb", ".bam"),
        "cram": _alignments("wc", ".cram"),
        "vcf": VCF,
        "bcf": _bcf(),
        "gff": GFF,
        "gtf": GTF,
        "bed": BED,
        "bigwig": _bigwig(),
        "csv": CSV,
        "tsv": TSV,
        "ndjson": NDJSON,
        "json": JSON,
        "parquet": _parquet(),
        "arrow": _arrow(stream=False),
        "arrow:stream": _arrow(stream=True),
        "h5": _hdf5(_plain_h5),
        "anndata": _hdf5(_anndata),
        "zarr": json.dumps({"zarr_format": 3, "node_type": "array", "shape": [4, 4], "data_type": "int8"}).encode(),
        "netcdf": _hdf5(_netcdf4),
        "netcdf:classic": _netcdf3(),
        "npy": _npy(),
        "mtx": MTX,
        "tiff": _tiff(ome=False),
        "ome-tiff": _tiff(ome=True),
        "png": _image("PNG"),
        "jpeg": _image("JPEG"),
        "dicom": _dicom(),
        "nifti": _nifti(),
        "pdf": _pdf(),
        "text": TEXT,
        "zip": _zip({"a.txt": b"hello", "b/c.txt": b"x" * 700}),
        "tar": _tar(),
        "gzip": gzip.compress(bytes(range(256)) * 4),
    }
