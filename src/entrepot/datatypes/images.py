"""Checks of images: PNG, JPEG, TIFF with OME-TIFF, DICOM. The pixels themselves are not decoded here."""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any, Final

from entrepot.datatypes.reading import Check, said

__all__ = ["dicom", "jpeg", "ome_tiff", "png", "tiff"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = {0: "grey", 2: "rgb", 3: "palette", 4: "grey and alpha", 6: "rgba"}


def png(check: Check) -> None:
    """Every chunk with its checksum, from the header to the end."""
    if check.exactly(0, 8, "the magic") != _PNG:
        raise check.stop("bad_magic", f"The file begins with {said(check.read(0, 8))}, not as PNG does.", offset=0)
    at, number, last, pixels = 8, 0, b"", 0
    while at < check.size and last != b"IEND":
        number += 1
        head = check.exactly(at, 8, f"chunk {number}")
        length, last = int.from_bytes(head[:4], "big"), head[4:]
        if not last.isalpha():
            raise check.stop(
                "bad_chunk", f"Chunk {number} at byte {at} has the name {said(last)}.", record=number, offset=at
            )
        if at + 12 + length > check.size:
            raise check.stop(
                "truncated",
                f"Chunk {number} ({last.decode()}) at byte {at} has {length} bytes; the file ends before.",
                record=number,
                offset=at,
            )
        crc = zlib.crc32(last)
        for start in range(at + 8, at + 8 + length, 1 << 20):
            crc = zlib.crc32(check.read(start, min(1 << 20, at + 8 + length - start)), crc)
        if crc != int.from_bytes(check.read(at + 8 + length, 4), "big"):
            check.wrong(
                "checksum",
                f"The checksum of chunk {number} ({last.decode()}) at byte {at} is wrong.",
                record=number,
                offset=at,
            )
        if number == 1:
            if last != b"IHDR" or length != 13:
                raise check.stop("no_header", f"The first chunk is {last.decode()}, not IHDR.", record=1, offset=8)
            width, height, depth, colour = struct.unpack(">IIBB", check.read(at + 8, 10))
            check.facts |= {"width": width, "height": height, "bits": depth, "colour": _COLOURS.get(colour, "unknown")}
        pixels += length if last == b"IDAT" else 0
        at += 12 + length
    if last != b"IEND":
        check.wrong("truncated", "The chunk that ends a PNG is missing.", offset=check.size)
    if not pixels:
        check.wrong("no_pixels", "There is no chunk with pixels.")


_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


def jpeg(check: Check) -> None:
    """The segments up to the first scan, and the mark that ends the image."""
    if check.exactly(0, 2, "the magic") != b"\xff\xd8":
        raise check.stop("bad_magic", f"The file begins with {said(check.read(0, 4))}, not as JPEG does.", offset=0)
    at, number, framed = 2, 0, False
    while True:
        number += 1
        head = check.exactly(at, 4, f"segment {number}")
        if head[0] != 0xFF:
            raise check.stop("bad_segment", f"There is no segment at byte {at}.", record=number, offset=at)
        if head[1] == 0xFF:
            at += 1
            number -= 1
            continue
        mark, length = head[1], int.from_bytes(head[2:], "big")
        if mark == 0xD9:
            raise check.stop("no_pixels", f"The image ends at byte {at} without a scan.", offset=at)
        if length < 2 or at + 2 + length > check.size:
            raise check.stop(
                "truncated",
                f"Segment {number} at byte {at} has {length} bytes; the file ends before.",
                record=number,
                offset=at,
            )
        if mark in _FRAMES:
            bits, height, width, parts = struct.unpack(">BHHB", check.exactly(at + 4, 6, "the frame"))
            check.facts |= {
                "width": width,
                "height": height,
                "bits": bits,
                "colour": {1: "grey", 3: "colour", 4: "cmyk"}.get(parts, "unknown"),
            }
            framed = True
        at += 2 + length
        if mark == 0xDA:
            break
    if not framed:
        check.wrong("no_frame", "No frame comes before the first scan.", offset=at)
    if b"\xff\xd9" not in check.read(max(at, check.size - 4096), 4096):
        check.wrong("truncated", "The mark that ends a JPEG is missing.", offset=check.size)


_WIDTHS: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_FORMS: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_COMPRESSIONS: Final = {
    1: "none",
    5: "lzw",
    6: "jpeg",
    7: "jpeg",
    8: "deflate",
    32773: "packbits",
    32946: "deflate",
    34712: "jpeg2000",
    50000: "zstd",
}
#: Pages that are read; each is a place of its own in the file.
_PAGES: Final = 200_000


class _Tiff:
    """The chain of directories, of TIFF and BigTIFF."""

    def __init__(self, check: Check) -> None:
        head = check.exactly(0, 8, "the header")
        self.order = "<" if head[:2] == b"II" else ">"
        magic = struct.unpack(self.order + "H", head[2:4])[0]
        if head[:2] not in (b"II", b"MM") or magic not in (42, 43):
            raise check.stop("bad_magic", f"The file begins with {said(head[:4])}, not as TIFF does.", offset=0)
        self.big = magic == 43
        self._check = check
        self._place = "Q" if self.big else "I"
        self._first = (
            struct.unpack(self.order + "Q", check.exactly(8, 8, "the header"))[0]
            if self.big
            else struct.unpack(self.order + "I", head[4:])[0]
        )

    def pages(self) -> list[dict[int, list[int] | bytes]]:
        """The tags of the first page, and of the others those that tell whether their pixels are there."""
        check, at = self._check, self._first
        seen: set[int] = set()
        found: list[dict[int, list[int] | bytes]] = []
        while at and len(found) < _PAGES:
            number = len(found) + 1
            if at in seen:
                raise check.stop(
                    "loop",
                    f"The directory of page {number} is at byte {at}, where one was before.",
                    record=number,
                    offset=at,
                )
            seen.add(at)
            if at >= check.size:
                raise check.stop(
                    "truncated",
                    f"The directory of page {number} is at byte {at}; the file has {check.size}.",
                    record=number,
                    offset=at,
                )
            tags, at = self._directory(at, number)
            found.append(tags)
        return found

    def _directory(self, at: int, number: int) -> tuple[dict[int, list[int] | bytes], int]:
        check, order = self._check, self.order
        wide, row = (8, 20) if self.big else (2, 12)
        count = struct.unpack(
            order + ("Q" if self.big else "H"), check.exactly(at, wide, f"the directory of page {number}")
        )[0]
        if count > 4096:
            raise check.stop(
                "bad_directory",
                f"The directory of page {number} says that it has {count} tags.",
                record=number,
                offset=at,
            )
        data = check.exactly(at + wide, count * row + (8 if self.big else 4), f"the directory of page {number}")
        tags: dict[int, list[int] | bytes] = {}
        for i in range(count):
            tag, kind = struct.unpack_from(order + "HH", data, i * row)
            many = struct.unpack_from(order + self._place, data, i * row + 4)[0]
            size = many * _WIDTHS.get(kind, 1)
            inside = i * row + (12 if self.big else 8)
            if size <= (8 if self.big else 4):
                body = data[inside : inside + size]
            else:
                where = struct.unpack_from(order + self._place, data, inside)[0]
                if where + size > check.size:
                    raise check.stop(
                        "truncated",
                        f"Tag {tag} of page {number} reaches over the end of the file.",
                        record=number,
                        offset=where,
                    )
                body = check.read(where, size) if size <= 16 << 20 else b""
            form = _FORMS.get(kind)
            tags[tag] = list(struct.unpack(f"{order}{len(body) // _WIDTHS[kind]}{form}", body)) if form else body
        following = struct.unpack_from(order + self._place, data, count * row)[0]
        return tags, following


def _one(tags: dict[int, list[int] | bytes], tag: int, default: int) -> int:
    value = tags.get(tag)
    return value[0] if isinstance(value, list) and value else default


def _numbers(tags: dict[int, list[int] | bytes], tag: int) -> list[int]:
    value = tags.get(tag)
    return value if isinstance(value, list) else []


def tiff(check: Check) -> None:
    _tiff(check)


def _tiff(check: Check) -> bytes:
    """The check; answers the description of the first page."""
    reader = _Tiff(check)
    pages = reader.pages()
    if not pages:
        raise check.stop("no_pages", "There is no page in this file.")
    for number, tags in enumerate(pages, 1):
        if not _one(tags, 256, 0) or not _one(tags, 257, 0):
            check.wrong("no_size", f"Page {number} has no width or height.", record=number)
        starts, sizes = (
            (_numbers(tags, 273), _numbers(tags, 279)) if 273 in tags else (_numbers(tags, 324), _numbers(tags, 325))
        )
        if len(starts) != len(sizes) or not starts:
            check.wrong(
                "bad_strips",
                f"Page {number} has {len(starts)} places of pixels and {len(sizes)} lengths.",
                record=number,
            )
        beyond = next((start for start, size in zip(starts, sizes, strict=False) if start + size > check.size), None)
        if beyond is not None:
            check.wrong(
                "truncated", f"Pixels of page {number} reach over the end of the file.", record=number, offset=beyond
            )
    first = pages[0]
    check.facts |= {
        "pages": len(pages),
        "width": _one(first, 256, 0),
        "height": _one(first, 257, 0),
        "bits": _one(first, 258, 1),
        "samples_per_pixel": _one(first, 277, 1),
        "sample_format": {1: "uint", 2: "int", 3: "float"}.get(_one(first, 339, 1), "unknown"),
        "compression": _COMPRESSIONS.get(_one(first, 259, 1), str(_one(first, 259, 1))),
        "big": reader.big,
    }
    text = first.get(270, b"")
    return text.rstrip(b"\x00") if isinstance(text, bytes) else b""


_PIXELS: Final = re.compile(r"<(?:\w+:)?Pixels\b([^>]*)>")
_CHANNEL: Final = re.compile(r"<(?:\w+:)?Channel\b([^>]*)>")
_ATTRIBUTE: Final = re.compile(r'(\w+)="([^"]*)"')


def ome_tiff(check: Check) -> None:
    """TIFF, and the OME-XML of its first page, of which what people look for is read without a parser of XML."""
    text = _tiff(check).decode("utf-8", "replace")
    found = _PIXELS.search(text)
    if "<OME" not in text[:10_000] or found is None:
        check.wrong("no_ome", "The first page has no OME-XML in its description.", record=1)
        return
    pixels = dict(_ATTRIBUTE.findall(found[1]))
    facts: dict[str, Any] = {
        axis: int(pixels[f"Size{axis}"]) for axis in "XYZCT" if pixels.get(f"Size{axis}", "").isdigit()
    }
    check.facts |= {
        "ome_sizes": facts,
        "ome_type": pixels.get("Type", "unknown")[:20],
        "order": pixels.get("DimensionOrder", "unknown")[:10],
        "channels": [dict(_ATTRIBUTE.findall(one)).get("Name", "")[:200] for one in _CHANNEL.findall(text)[:100]],
    }
    for axis in "XYZ":
        size = pixels.get(f"PhysicalSize{axis}", "")
        if re.fullmatch(r"[0-9.]+(e-?[0-9]+)?", size, re.I):
            check.facts.setdefault("pixel_size", {})[axis.lower()] = float(size)
            check.facts["pixel_unit"] = pixels.get(f"PhysicalSize{axis}Unit", "µm")[:10]
    planes = facts.get("Z", 1) * facts.get("C", 1) * facts.get("T", 1)
    if (
        "FileName=" not in text
        and check.facts["samples_per_pixel"] == 1
        and planes > check.facts["pages"] * text.count("Pixels ID")
    ):
        check.wrong("pages_missing", f"The OME-XML tells of {planes} planes; there are {check.facts['pages']} pages.")


#: What is read of the elements of DICOM: nothing of the patient.
_ELEMENTS: Final = {
    (0x0008, 0x0060): "modality",
    (0x0008, 0x0070): "manufacturer",
    (0x0018, 0x0015): "body_part",
    (0x0018, 0x0050): "slice_thickness",
    (0x0028, 0x0008): "frames",
    (0x0028, 0x0010): "rows",
    (0x0028, 0x0011): "columns",
    (0x0028, 0x0030): "pixel_spacing",
    (0x0028, 0x0100): "bits",
    (0x0002, 0x0010): "transfer_syntax",
}
_LONG: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"})
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_PLAIN: Final = "1.2.840.10008.1.2"


def dicom(check: Check) -> None:
    """The preamble, the group of the file, and the elements in order up to the pixels; DICOM PS3.10 and PS3.5."""
    if check.exactly(0, 132, "the preamble")[128:] != b"DICM":
        raise check.stop("bad_magic", "The file has no DICM behind its preamble.", offset=128)
    at, order, explicit, number = 132, "<", True, 0
    before = (0, 0)
    pixels = False
    while at < check.size:
        number += 1
        head = check.read(at, 12)
        if len(head) < 8:
            raise check.stop("truncated", f"The file ends inside element {number}.", record=number, offset=at)
        syntax = str(check.facts.get("transfer_syntax", ""))
        if head[:2] != b"\x02\x00" and before[0] <= 2:
            if syntax == _DEFLATED:
                return
            explicit, order = syntax != _PLAIN, ">" if syntax == "1.2.840.10008.1.2.2" else "<"
        group, element = struct.unpack_from(order + "HH", head)
        if (group, element) <= before:
            raise check.stop(
                "order", f"Element ({group:04x},{element:04x}) at byte {at} is out of order.", record=number, offset=at
            )
        before = (group, element)
        length, start = _element_length(check, head, at, order, explicit)
        if length == 0xFFFFFFFF:
            # Of unknown length: a sequence that is read to its end by a library, or pixels in pieces.
            pixels = pixels or group == 0x7FE0
            break
        if start + length > check.size:
            raise check.stop(
                "truncated",
                f"Element ({group:04x},{element:04x}) at byte {at} has {length} bytes; the file ends before.",
                record=number,
                offset=at,
            )
        name = _ELEMENTS.get((group, element))
        if name is not None and length <= 200:
            check.facts[name] = _dicom_value(check.read(start, length), order, name)
        pixels = pixels or group == 0x7FE0
        at = start + length
    check.facts["pixels"] = pixels


def _element_length(check: Check, head: bytes, at: int, order: str, explicit: bool) -> tuple[int, int]:
    if not explicit:
        return struct.unpack_from(order + "I", head, 4)[0], at + 8
    if not head[4:6].isalpha():
        raise check.stop("bad_element", f"The element at byte {at} has no kind: {said(head[4:6])}.", offset=at)
    if head[4:6] in _LONG:
        return (struct.unpack_from(order + "I", head, 8)[0], at + 12) if len(head) == 12 else (0, check.size)
    return struct.unpack_from(order + "H", head, 6)[0], at + 8


def _dicom_value(data: bytes, order: str, name: str) -> object:
    if name in ("rows", "columns", "bits"):
        return struct.unpack(order + "H", data[:2])[0] if len(data) >= 2 else None
    text = data.decode("latin-1").strip("\x00 ")
    return int(text) if name == "frames" and text.isdigit() else text
