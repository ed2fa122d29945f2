"""From a name and the first bytes to a data type: content before suffix.

    signature    bytes that only this format has                          always wins
    structure    lines that look like a table, intervals, features ...    wins unless the name says a kin of it
    nothing      random bytes, or plain text                              the name decides

A damaged file keeps the type of its name in this way, and its check says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from entrepot.datatypes import peek, texts
from entrepot.model.data_types import DataType, Means, Recognition

__all__ = ["GLANCE", "by_suffix", "recognise", "recognise_binary"]

#: Bytes that all signatures lie in, and in which most binary files have a zero.
GLANCE: Final = 1024

#: Text in two bytes a character, and compressed files.
_NOT_AT_A_GLANCE: Final = frozenset({b"\xff\xfe", b"\xfe\xff", peek.GZIP})
_COMPRESSED: Final = ("gz", "bgz", "bgzf")
_PACKED_ALWAYS: Final = frozenset({"bam", "bcf"})

#: Formats that are written in another one: their names say more than the bytes at the beginning do.
_INSIDE: Final[Mapping[str, frozenset[str]]] = {
    "h5": frozenset({"anndata", "netcdf"}),
    "tiff": frozenset({"ome-tiff"}),
    "zip": frozenset({"zarr"}),
}

_SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"CRAM", "cram"),
    (0, b"BAM\x01", "bam"),
    (0, b"BCF\x02", "bcf"),
    (0, b"BCF\x04", "bcf"),
    (0, b"\x26\xfc\x8f\x88", "bigwig"),
    (0, b"\x88\x8f\xfc\x26", "bigwig"),
    (0, b"PAR1", "parquet"),
    (0, b"PARE", "parquet"),
    (0, b"ARROW1\x00\x00", "arrow"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"%PDF-", "pdf"),
    (0, b"CDF\x01", "netcdf"),
    (0, b"CDF\x02", "netcdf"),
    (0, b"CDF\x05", "netcdf"),
    (128, b"DICM", "dicom"),
    (344, b"n+1\x00", "nifti"),
    (344, b"ni1\x00", "nifti"),
    (4, b"n+2\x00\r\n\x1a\n", "nifti"),
    (4, b"ni2\x00\r\n\x1a\n", "nifti"),
    (257, b"ustar", "tar"),
)
#: What begins in one of these ways may have a signature. Nearly every file begins in none, which one look tells.
_MAY_BE_SIGNED: Final = re.compile(
    b"|".join(
        [
            *(b".{%d}%s" % (at, re.escape(data)) for at, data, _ in _SIGNATURES),
            rb"II[*+]\x00|MM\x00[*+]|(?:.{512})?\x89HDF|PK[\x03\x05]|\xff{4}",
        ]
    ),
    re.DOTALL,
)


def recognise(
    name: str,
    head: bytes,
    types: Mapping[str, DataType],
    suffixes: Mapping[str, str],
    added: Sequence[DataType] = (),
    *,
    whole: bool = True,
) -> Recognition:
    """What a file is.

    Args:
        types: By identifier.
        suffixes: The same as `by_suffix` tells them.
        added: Types whose magic is asked before ours.
        whole: Whether `head` is all of the file.
    """
    packed = peek.compression(head)
    if packed is None:
        return _plain(name, head, types, suffixes, added, None, whole)
    inside = peek.inflate(head)
    found = _plain(_without_packing(name), inside, types, suffixes, added, packed, whole and len(inside) < peek.HEAD)
    # `.bam` and `.bcf` are compressed without saying so in their names; anything else that is unknown inside is gzip.
    says_packed = _without_packing(name) != name or found.data_type in _PACKED_ALWAYS
    if found.data_type is None or (found.means is Means.SUFFIX and not says_packed):
        return _as("gzip", Means.CONTENT)
    return found


def recognise_binary(name: str, glance: bytes, suffixes: Mapping[str, str]) -> Recognition | None:
    """What `recognise` says of a file of which its name decides; None where all of its head must be looked at.

    For small files, which come by the ten thousand: a look costs less than to copy a head.

    Args:
        glance: The first bytes, `GLANCE` of them if there are so many.
    """
    if b"\x00" not in glance or glance[:2] in _NOT_AT_A_GLANCE or _MAY_BE_SIGNED.match(glance) is not None:
        return None
    if _is_old_tar(glance):
        return None
    named = _named(name, suffixes)
    return _as(named, Means.SUFFIX if named is not None else Means.NOTHING)


@lru_cache(maxsize=4096)
def _as(data_type: str | None, means: Means, compression: str | None = None) -> Recognition:
    """There are few of them, and making one takes longer than most files take to be told apart."""
    return Recognition(data_type, means, compression)


def _plain(
    name: str,
    head: bytes,
    types: Mapping[str, DataType],
    suffixes: Mapping[str, str],
    added: Sequence[DataType],
    packed: str | None,
    whole: bool,
) -> Recognition:
    for one in added:
        if any(head[magic.offset : magic.offset + len(magic.data)] == magic.data for magic in one.magic):
            return _as(one.identifier, Means.CONTENT, packed)
    named = _named(name, suffixes)
    by_name = _as(named, Means.SUFFIX if named is not None else Means.NOTHING, packed)
    foreign = named is not None and not types[named].is_own
    signed = _signature(head)
    if signed is not None:
        if named in _INSIDE.get(signed, ()) or (foreign and signed in _INSIDE):
            return by_name
        return _as(signed, Means.CONTENT, packed)
    shape = texts.shape(head, whole=whole)
    if shape is None:
        return by_name
    by_content = _as(shape.data_type, Means.CONTENT, packed)
    if shape.sure or named is None or not types[named].is_text:
        return by_content
    if shape.data_type == "text" or foreign or texts.are_kin(named, shape.data_type):
        return by_name
    return by_content


def by_suffix(types: Sequence[DataType]) -> Mapping[str, str]:
    """The type that each suffix means: the first of those that have it."""
    found: dict[str, str] = {}
    for one in types:
        for ending in one.suffixes:
            found.setdefault(ending, one.identifier)
    return found


def _named(name: str, suffixes: Mapping[str, str]) -> str | None:
    """The type whose suffix ends the name, the longest first: `cells.ome.tiff` is OME-TIFF before it is TIFF."""
    last = name.rpartition("/")[2].lower()
    at = last.find(".")
    while at >= 0:
        found = suffixes.get(last[at + 1 :])
        if found is not None:
            return found
        at = last.find(".", at + 1)
    return None


def _without_packing(name: str) -> str:
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.lower() in _COMPRESSED else name


def _signature(head: bytes) -> str | None:
    if _MAY_BE_SIGNED.match(head) is None:
        return "tar" if _is_old_tar(head) else None
    for at, data, found in _SIGNATURES:
        if head.startswith(data, at):
            return found
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "ome-tiff" if b"<OME " in head or b"<OME>" in head else "tiff"
    if head[:8] == b"\x89HDF\r\n\x1a\n" or head[512:520] == b"\x89HDF\r\n\x1a\n":
        return _hdf5(head)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zarr" if _first_member(head) in _ZARR_NAMES else "zip"
    # A stream of Arrow: a continuation mark, the length of the first message, and a flatbuffer that fits in it.
    if head[:4] == b"\xff\xff\xff\xff" and len(head) >= 12 and 16 <= int.from_bytes(head[4:8], "little") <= 1 << 24:
        return "arrow" if int.from_bytes(head[4:8], "little") % 8 == 0 else None
    if _is_old_tar(head):
        return "tar"
    return None


def _hdf5(head: bytes) -> str:
    if b"encoding-type" in head and b"anndata" in head:
        return "anndata"
    return "netcdf" if b"_NCProperties" in head else "h5"


_ZARR_NAMES: Final = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"})


def _first_member(head: bytes) -> str:
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length].decode("utf-8", "replace")


def _is_old_tar(head: bytes) -> bool:
    """Whether this is a header of a tar without `ustar` in it, by its checksum."""
    said = head[148:156].strip(b" \x00")
    if not said.isdigit() or len(head) < 512 or not head[0] or b"\x00" not in head[:100]:
        return False
    if said.translate(None, b"01234567"):
        return False
    return int(said, 8) == sum(head[:148]) + 256 + sum(head[156:512])
