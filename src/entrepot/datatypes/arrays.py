"""Checks of arrays: NumPy, NIfTI, HDF5 with AnnData and NetCDF on it, classic NetCDF, metadata of Zarr."""

from __future__ import annotations

import ast
import json
import math
import re
import struct
from typing import Any, Final

from entrepot.datatypes.reading import Check, said

__all__ = ["hdf5", "netcdf", "nifti", "npy", "zarr"]

_NPY_TYPE: Final = re.compile(r"[<>|=]?([?bBiufcmMOSUaV])([0-9]{0,9})(\[[^\]]{1,20}\])?")


def _measured(check: Check) -> int:
    """Bytes of the content, decompressed."""
    return check.size if check.compression is None else sum(len(block) for block in check.blocks())


def _beginning(check: Check, length: int) -> bytes:
    if check.compression is None:
        return check.read(0, length)
    found = bytearray()
    for block in check.blocks():
        found += block
        if len(found) >= length:
            break
    return bytes(found[:length])


def npy(check: Check) -> None:
    """The header against the size; NumPy enhancement proposal 1."""
    head = _beginning(check, 1 << 16)
    if head[:6] != b"\x93NUMPY" or len(head) < 12:
        raise check.stop(
            "bad_magic", f"The file begins with {said(head[:6])}, not as an array of NumPy does.", offset=0
        )
    start = 10 if head[6] == 1 else 12
    length = int.from_bytes(head[8:start], "little")
    if start + length > len(head):
        raise check.stop("truncated", f"The header says that it has {length} bytes.", offset=start)
    try:
        told = ast.literal_eval(head[start : start + length].decode("latin-1").strip())
        shape, kind, fortran = told["shape"], told["descr"], told["fortran_order"]
        if not isinstance(shape, tuple) or not all(isinstance(one, int) and one >= 0 for one in shape):
            raise ValueError("the shape is none")
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise check.stop("bad_header", f"The header cannot be read: {str(error)[:100]}.", offset=start) from None
    check.facts |= {
        "shape": list(shape),
        "dtype": str(kind)[:200],
        "order": "fortran" if fortran else "c",
        "version": head[6],
    }
    match = _NPY_TYPE.fullmatch(kind) if isinstance(kind, str) else None
    if match is None or match[1] == "O":
        return
    width = int(match[2] or 1) * (4 if match[1] == "U" else 1)
    wanted, there = math.prod(shape) * width, _measured(check) - start - length
    if there != wanted:
        what = "truncated" if there < wanted else "rubbish"
        check.wrong(
            what,
            f"An array of {shape} and {kind} has {wanted} bytes; {there} follow the header.",
            offset=start + length,
        )


_NIFTI_TYPES: Final = {
    2: ("uint8", 1),
    4: ("int16", 2),
    8: ("int32", 4),
    16: ("float32", 4),
    32: ("complex64", 8),
    64: ("float64", 8),
    128: ("rgb24", 3),
    256: ("int8", 1),
    512: ("uint16", 2),
    768: ("uint32", 4),
    1024: ("int64", 8),
    1280: ("uint64", 8),
    1536: ("float128", 16),
    1792: ("complex128", 16),
    2048: ("complex256", 32),
    2304: ("rgba32", 4),
}


def nifti(check: Check) -> None:
    """NIfTI-1 and -2: the header against the size."""
    head = _beginning(check, 540)
    found = next(
        ((order, int(size)) for order in "<>" for size in (348, 540) if head[:4] == struct.pack(order + "i", size)),
        None,
    )
    if found is None or len(head) < found[1]:
        raise check.stop(
            "bad_header", f"The file begins with {said(head[:4])}, not with the length of a NIfTI header.", offset=0
        )
    order, size = found
    if size == 348:
        dim, kind, bits = struct.unpack_from(order + "8h", head, 40), *struct.unpack_from(order + "hh", head, 70)
        spacing, offset = struct.unpack_from(order + "8f", head, 76), struct.unpack_from(order + "f", head, 108)[0]
        units, text, magic = head[123], head[148:228], head[344:348]
    else:
        dim, kind, bits = struct.unpack_from(order + "8q", head, 16), *struct.unpack_from(order + "hh", head, 12)
        spacing, offset = struct.unpack_from(order + "8d", head, 104), struct.unpack_from(order + "q", head, 168)[0]
        units, text, magic = struct.unpack_from(order + "i", head, 500)[0], head[240:320], head[4:8]
    if magic[:1] != b"n" or magic[2:3] not in b"12":
        raise check.stop("bad_magic", f"The header has the magic {said(magic)}.", offset=344 if size == 348 else 4)
    if not 1 <= dim[0] <= 7 or any(one < 1 for one in dim[1 : dim[0] + 1]):
        raise check.stop("bad_dimensions", f"The header has the dimensions {list(dim)}.", offset=40)
    name, width = _NIFTI_TYPES.get(kind, ("unknown", 0))
    if not width:
        check.wrong("bad_type", f"The header has the data type {kind}, which is none.", offset=70)
    elif bits != width * 8:
        check.wrong("bad_type", f"The header says {bits} bits a voxel; {name} has {width * 8}.", offset=72)
    shape = list(dim[1 : dim[0] + 1])
    check.facts |= {
        "shape": shape,
        "dtype": name,
        "voxel_size": [round(abs(one), 6) for one in spacing[1 : dim[0] + 1] if math.isfinite(one)],
        "unit": {1: "m", 2: "mm", 3: "um"}.get(units & 7, "unknown"),
        "volumes": shape[3] if len(shape) > 3 else 1,
        "description": text.split(b"\x00")[0].decode("latin-1"),
    }
    if magic[1:2] == b"i":
        check.facts["pair"] = True
        return
    if not math.isfinite(offset) or offset < size:
        check.wrong("bad_offset", f"The header says that the voxels begin at byte {offset}.", offset=108)
        return
    wanted, there = int(offset) + math.prod(shape) * width, _measured(check)
    if width and there < wanted:
        check.wrong(
            "truncated", f"Voxels of {shape} and {name} end at byte {wanted}; there are {there} bytes.", offset=there
        )


_SUPERBLOCKS: Final = (0, 512, 1024, 2048, 4096)


def hdf5(check: Check) -> None:
    """The superblock, and that the file is as long as it says; groups and arrays are read by a library where it is."""
    at = next((one for one in _SUPERBLOCKS if check.read(one, 8) == b"\x89HDF\r\n\x1a\n"), None)
    if at is None:
        raise check.stop("bad_magic", f"The file begins with {said(check.read(0, 8))}, not as HDF5 does.", offset=0)
    head = check.exactly(at, 48, "the superblock")
    version = head[8]
    if version > 3:
        raise check.stop("version", f"A superblock of version {version} is not known.", offset=at + 8)
    width = head[13] if version < 2 else head[9]
    if width not in (4, 8):
        raise check.stop("bad_header", f"The superblock says that addresses have {width} bytes.", offset=at)
    start = 12 if version >= 2 else 24 if version == 0 else 28
    head = check.exactly(at, start + 4 * width, "the superblock")
    end = int.from_bytes(head[start + 2 * width : start + 3 * width], "little")
    check.facts["superblock"] = version
    if at + end > check.size:
        raise check.stop(
            "truncated",
            f"The superblock says that the file has {at + end} bytes; it has {check.size}.",
            offset=check.size,
        )


def netcdf(check: Check) -> None:
    """Classic NetCDF by its header, NetCDF-4 as the HDF5 that it is."""
    magic = check.exactly(0, 4, "the magic")
    if magic[:3] != b"CDF":
        hdf5(check)
        return
    if magic[3] not in (1, 2, 5):
        raise check.stop("bad_magic", f"NetCDF {magic[3]} is not known.", offset=3)
    try:
        _Classic(check, magic[3]).read()
    except (IndexError, struct.error):
        raise check.stop("truncated", "The header is cut or damaged.", offset=check.size) from None


class _Classic:
    """The header of classic NetCDF, of which the beginning is read; NetCDF classic and 64-bit offset formats, BNF."""

    _WIDTH: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
    _NAME: Final = {
        1: "int8",
        2: "char",
        3: "int16",
        4: "int32",
        5: "float32",
        6: "float64",
        7: "uint8",
        8: "uint16",
        9: "uint32",
        10: "int64",
        11: "uint64",
    }

    def __init__(self, check: Check, version: int) -> None:
        self._check = check
        self._data = check.read(0, 16 << 20)
        self._at = 4
        self._count = ">q" if version == 5 else ">i"
        self._place = ">i" if version == 1 else ">q"

    def _number(self, form: str) -> int:
        value = int(struct.unpack_from(form, self._data, self._at)[0])
        self._at += struct.calcsize(form)
        return value

    def _size(self) -> int:
        value = self._number(self._count)
        if value < 0 or value > len(self._data):
            raise IndexError
        return value

    def _name(self) -> str:
        length = self._size()
        name = self._data[self._at : self._at + length].decode("utf-8", "replace")
        self._at += length + -length % 4
        return name[:200]

    def _attributes(self) -> None:
        self._number(">i")
        for _ in range(self._size()):
            self._name()
            width = self._WIDTH[self._number(">i")] if self._data[self._at + 3] in self._WIDTH else 0
            if not width:
                raise IndexError
            length = self._size() * width
            self._at += length + -length % 4

    def read(self) -> None:
        check = self._check
        records = self._number(self._count)
        self._number(">i")
        dimensions: list[tuple[str, int]] = []
        for _ in range(self._size()):
            name = self._name()
            dimensions.append((name, self._number(self._count)))
        self._attributes()
        self._number(">i")
        variables: list[dict[str, Any]] = []
        for _ in range(self._size()):
            name = self._name()
            axes = [self._number(self._count) for _ in range(self._size())]
            self._attributes()
            kind, _, begin = self._number(">i"), self._number(self._count), self._number(self._place)
            if any(not 0 <= one < len(dimensions) for one in axes):
                raise check.stop("bad_header", f"Variable {said(name)} has a dimension that there is not.")
            fixed = [dimensions[one][1] for one in axes]
            width = self._WIDTH.get(kind, 1)
            if 0 not in fixed and begin + math.prod(fixed) * width > check.size:
                check.wrong("truncated", f"Variable {said(name)} reaches over the end of the file.", offset=begin)
            if len(variables) < 1000:
                variables.append(
                    {
                        "name": name,
                        "dtype": self._NAME.get(kind, "unknown"),
                        "dimensions": [dimensions[one][0] for one in axes],
                    }
                )
        check.facts |= {
            "dimensions": {name: size or max(records, 0) for name, size in dimensions[:1000]},
            "variables": variables,
        }


def zarr(check: Check) -> None:
    """A metadata file of a store that is a folder. The chunks are entries of their own."""
    data = check.whole(16 << 20, "Metadata of Zarr")
    if data[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        from entrepot.datatypes.documents import zip_archive

        zip_archive(check)
        return
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise check.stop("bad_json", f"This is no JSON: {str(error)[:100]}.") from None
    if not isinstance(told, dict):
        raise check.stop("bad_metadata", "Metadata of Zarr is an object of JSON.")
    form = told.get("zarr_format")
    if form not in (2, 3):
        raise check.stop("version", f"The metadata names format {form!r}, not 2 or 3.")
    node = told.get("node_type", "array" if "shape" in told else "group")
    check.facts |= {"format": form, "node": str(node)[:20]}
    if node == "array":
        shape = told.get("shape")
        if not isinstance(shape, list) or not all(isinstance(one, int) and one >= 0 for one in shape):
            raise check.stop("bad_shape", "The metadata of an array has no shape.")
        grid = (
            told.get("chunks")
            if form == 2
            else (told.get("chunk_grid") or {}).get("configuration", {}).get("chunk_shape")
        )
        check.facts |= {
            "shape": shape,
            "dtype": str(told.get("dtype", told.get("data_type")))[:200],
            "chunks": grid if isinstance(grid, list) else None,
        }
        if isinstance(grid, list) and len(grid) != len(shape):
            check.wrong("bad_chunks", f"An array of {len(shape)} dimensions has chunks of {len(grid)}.")
