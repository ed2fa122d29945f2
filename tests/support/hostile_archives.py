"""Archives that mean harm or were broken: each made here, with what a refusal of it has to name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import zstandard

__all__ = ["CORPUS", "Hostile", "tarred", "zipped"]


@dataclass(frozen=True)
class Hostile:
    """One archive.

    Args:
        says: What the refusal has to say.
    """

    filename: str
    body: bytes
    says: str


def zipped(members: Mapping[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def tarred(members: Mapping[str, bytes] | list[tuple[str, bytes]], **info: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            one = tarfile.TarInfo(name)
            one.size = len(content)
            for key, value in info.items():
                setattr(one, key, value)
            archive.addfile(one, io.BytesIO(content))
    return out.getvalue()


def _with_mode(mode: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        one = zipfile.ZipInfo("sneaky")
        one.external_attr = mode << 16
        archive.writestr(one, "/etc/passwd")
    return out.getvalue()


def _encrypted() -> bytes:
    body = bytearray(zipped({"secret.txt": b"x" * 100}, zipfile.ZIP_STORED))
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = body.index(signature) + at
        body[place] |= 1
    return bytes(body)


def _wrong_crc() -> bytes:
    body = bytearray(zipped({"good.txt": b"good", "bad.txt": b"x" * 50}, zipfile.ZIP_STORED))
    body[body.index(b"x" * 50)] ^= 1
    return bytes(body)


def _overlapping() -> bytes:
    """Two entries of the directory that lead to the same bytes."""
    body = zipped({"one.txt": b"x" * 100, "two.txt": b"y" * 100}, zipfile.ZIP_STORED)
    at = body.rindex(b"PK\1\2")
    raw = bytearray(body)
    raw[at + 42 : at + 46] = struct.pack("<L", 0)
    return bytes(raw)


_WRAP: Mapping[str, Callable[[bytes], bytes]] = {
    ".tar": lambda body: body,
    ".tar.gz": gzip.compress,
    ".tar.bz2": bz2.compress,
    ".tar.xz": lzma.compress,
    ".tar.zst": lambda body: zstandard.ZstdCompressor(write_checksum=True).compress(body),
}


def _corpus() -> dict[str, Hostile]:
    bad_names = {
        "leads out": "../../etc/passwd",
        "leads out in the middle": "a/../../b",
        "absolute": "/etc/passwd",
        "drive": "C:/windows/system.ini",
        "control character": "a\x07b",
        "too long a name": "n" * 300,
    }
    found: dict[str, Hostile] = {}
    for what, name in bad_names.items():
        found[f"zip {what}"] = Hostile("x.zip", zipped({"good.txt": b"x", name: b"y"}), "")
        found[f"tar {what}"] = Hostile("x.tar", tarred({"good.txt": b"x", name: b"y"}), "")
    found["zip backslashes that lead out"] = Hostile("x.zip", zipped({"..\\..\\x": b"y"}), "..")
    for what, kind in (
        ("symbolic link", tarfile.SYMTYPE),
        ("hard link", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("device", tarfile.BLKTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ):
        found[f"tar {what} {kind!r}"] = Hostile(
            "x.tar", tarred({"sneaky": b""}, type=kind, linkname="/etc/passwd"), what
        )
    found["zip link"] = Hostile("x.zip", _with_mode(0o120777), "sneaky")
    found["zip device"] = Hostile("x.zip", _with_mode(0o020666), "sneaky")
    twice = [("same.txt", b"1"), ("./same.txt", b"2")]
    found["zip twice"] = Hostile("x.zip", zipped(twice), "twice")
    found["tar twice"] = Hostile("x.tar", tarred(twice), "twice")
    # One composed, one of a letter and an accent: the same name to people and to us.
    composed = [("\u00e9.txt", b"1"), ("e\u0301.txt", b"2")]
    found["zip twice after normalising"] = Hostile("x.zip", zipped(composed), "twice")
    found["tar twice after normalising"] = Hostile("x.tar", tarred(composed), "twice")
    both = [("a", b"1"), ("a/b", b"2")]
    found["zip file and folder"] = Hostile("x.zip", zipped(both), "both a file and a folder")
    found["tar folder and file"] = Hostile("x.tar", tarred(both[::-1]), "both a file and a folder")
    deep = {"/".join("d" * 80): b"x"}
    found["zip too deep"] = Hostile("x.zip", zipped(deep), "levels deep")
    found["tar too deep"] = Hostile("x.tar", tarred(deep), "levels deep")
    found["zip encrypted"] = Hostile("x.zip", _encrypted(), "encrypted")
    found["zip wrong CRC"] = Hostile("x.zip", _wrong_crc(), "bad.txt")
    found["zip overlapping"] = Hostile("x.zip", _overlapping(), "over each other")
    found["zip that is none"] = Hostile("x.zip", b"hello", "not a zip archive")
    found["zip cut"] = Hostile("x.zip", zipped({"a.txt": b"x" * 1000})[:-30], "")
    good = tarred({"a.txt": bytes(i % 251 for i in range(20_000)), "b.txt": b"y"})
    for suffix, wrap in _WRAP.items():
        body = wrap(good)
        found[f"{suffix} cut"] = Hostile(f"x{suffix}", body[: len(body) // 2], "")
        found[f"{suffix} that is none"] = Hostile(f"x{suffix}", b"hello", "")
        if suffix != ".tar":
            found[f"{suffix} with a wrong byte"] = Hostile(f"x{suffix}", _flipped(body), "")
            bomb = tarred({"zeros": bytes(6 << 20)})
            found[f"{suffix} bomb"] = Hostile(f"x{suffix}", wrap(bomb), "beyond the limit")
    found["zip bomb"] = Hostile("x.zip", zipped({"zeros": bytes(6 << 20)}), "beyond the limit")
    return found


def _flipped(body: bytes) -> bytes:
    raw = bytearray(body)
    for at in range(len(raw) // 2, len(raw) // 2 + 4):
        raw[at] ^= 0xFF
    return bytes(raw)


#: With a limit of 4 MiB on what may come out.
CORPUS = _corpus()
