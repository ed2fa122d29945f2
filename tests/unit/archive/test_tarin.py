"""Tar archives that come in: every form that programs write, and an end that has to be there."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections import Counter
from collections.abc import Iterator

import pytest
import zstandard

from entrepot.archive.tarin import TarIn
from entrepot.archive.unpackers import Kind, kind_of, unwrapped
from entrepot.model.errors import Invalid, Malformed

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def packed(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT, **info: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in members.items():
            one = tarfile.TarInfo(name)
            one.size = len(content)
            for key, value in info.items():
                setattr(one, key, value)
            archive.addfile(one, io.BytesIO(content))
    return out.getvalue()


def read(body: bytes, step: int = 1000) -> dict[str, bytes]:
    archive = TarIn(body[at : at + step] for at in range(0, len(body), step))
    found = {}
    for member in archive.members():
        content = b"".join(archive.blocks())
        assert len(content) == member.size
        if not member.is_folder:
            found[member.name] = content
    return found


MEMBERS = {"a.txt": b"a", "b/c.bin": bytes(range(256)) * 30, "empty": b"", "ü.txt": b"x" * 512}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("step", [1, 512, 1 << 20])
def test_every_form(form: str, step: int) -> None:
    assert read(packed(MEMBERS, FORMATS[form]), step) == MEMBERS


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_long_names(form: str) -> None:
    members = {"/".join(["folder" * 10] * 10): b"x", "n" * 200: b"y", "short": b"z"}
    assert read(packed(members, FORMATS[form])) == members
    prefixed = {"d" * 90 + "/" + "e" * 90: b"p"}
    assert read(packed(prefixed, tarfile.USTAR_FORMAT)) == prefixed


def test_what_nobody_reads_is_passed_over() -> None:
    archive = TarIn(iter([packed(MEMBERS)]))
    assert [one.name for one in archive.members()] == list(MEMBERS)


def test_folders_are_folders() -> None:
    body = packed({"d": b""}, type=tarfile.DIRTYPE)
    assert [(one.name, one.is_folder) for one in TarIn(iter([body])).members()] == [("d/", True)]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"]
)
def test_what_is_no_file_is_refused_by_name(kind: bytes) -> None:
    body = packed({"bad one": b""}, type=kind, linkname="../../etc/passwd")
    with pytest.raises(Invalid, match="bad one"):
        read(body)


def test_wherever_it_is_cut_it_is_refused() -> None:
    body = packed(MEMBERS)
    end = len(body.rstrip(b"\0"))
    end += -end % 512
    for cut in [0, 1, 511, 512, 513, *range(600, end + 1, 97), end]:
        with pytest.raises(Malformed):
            read(body[:cut])


def test_wherever_it_is_damaged_nothing_breaks() -> None:
    """A header has a sum and is refused; bytes have none and pass; a long name has none, and is another one."""
    long = "b" * 150
    body = packed({"a": b"x", long: b"y"})
    good = read(body)
    header, name, first, second = (0, 1024, 2048), range(1536, 2048), 512, 2560
    outcomes: Counter[str] = Counter()
    for at in range(0, 3072, 5):
        wrong = bytearray(body)
        wrong[at] ^= 0x55
        in_header = any(start <= at < start + 512 for start in header)
        try:
            found = read(bytes(wrong))
        except (Malformed, Invalid):
            assert in_header or at in name, at
            outcomes["refused"] += 1
            continue
        if in_header:
            # The field of the sum ends with a byte or two that stand for nothing.
            assert (at % 512 in (154, 155), found) == (True, good), at
        elif at in name:
            assert list(found.values()) == list(good.values()), at
            outcomes["another name"] += list(found) != list(good)
        else:
            assert found == {"a": b"x" if at != first else found["a"], long: b"y" if at != second else found[long]}, at
    assert outcomes["refused"] > 300
    assert outcomes["another name"]


@pytest.mark.parametrize("body", [b"hello", b"x" * 512, b"PK\3\4" + bytes(2000), b""])
def test_what_is_no_tar(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


def sparse_old() -> bytes:
    """A file of 2,000,000 bytes with two pieces, as GNU tar wrote it first."""
    pieces = [(0, 512), (1_000_000, 512)]
    one = tarfile.TarInfo("holes")
    one.size, one.type = 1024, b"S"
    raw = bytearray(one.tobuf(tarfile.GNU_FORMAT))
    for i, (offset, length) in enumerate(pieces):
        raw[386 + 24 * i : 410 + 24 * i] = b"%011o\0%011o\0" % (offset, length)
    raw[483:495] = b"%011o\0" % 2_000_000
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw) + b"a" * 512 + b"b" * 512 + bytes(1024)


def sparse_pax(version: str) -> bytes:
    headers = {"GNU.sparse.name": "holes", "GNU.sparse.realsize": "2000000", "GNU.sparse.size": "2000000"}
    content = b"a" * 512 + b"b" * 512
    if version == "1.0":
        headers |= {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
        content = b"2\n0\n512\n1000000\n512\n".ljust(512, b"\0") + content
    else:
        headers["GNU.sparse.map"] = "0,512,1000000,512"
    one = tarfile.TarInfo("GNUSparseFile.0/holes")
    one.size, one.pax_headers = len(content), headers
    return one.tobuf(tarfile.PAX_FORMAT) + content + bytes(1024)


@pytest.mark.parametrize("body", [sparse_old(), sparse_pax("1.0"), sparse_pax("0.1")])
def test_holes_become_zeros(body: bytes) -> None:
    wanted = bytearray(2_000_000)
    wanted[:512], wanted[1_000_000:1_000_512] = b"a" * 512, b"b" * 512
    assert read(body) == {"holes": bytes(wanted)}


WRAPPED = {
    "tar": lambda body: body,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": lambda body: zstandard.ZstdCompressor(write_checksum=True).compress(body),
}


def unwrap(kind: Kind, body: bytes) -> Iterator[bytes]:
    return unwrapped(kind, lambda at, length: body[at : at + length], len(body))


@pytest.mark.parametrize("kind", WRAPPED)
def test_every_wrapping(kind: Kind) -> None:
    plain = packed({**MEMBERS, "large": bytes(3 << 20) + bytes(range(256)) * 2000})
    assert b"".join(unwrap(kind, WRAPPED[kind](plain))) == plain
    half = len(plain) // 2
    assert b"".join(unwrap(kind, WRAPPED[kind](plain[:half]) + WRAPPED[kind](plain[half:]))) == plain


@pytest.mark.parametrize("kind", [one for one in WRAPPED if one != "tar"])
def test_a_wrapping_that_is_cut_or_damaged(kind: Kind) -> None:
    body = WRAPPED[kind](packed({"noise": bytes(i * i % 251 for i in range(5000))}))
    for cut in (0, 1, 10, len(body) // 2, len(body) - 1):
        with pytest.raises(Malformed):
            list(unwrap(kind, body[:cut]))
    for wrong in (body + b"garbage", body[:30] + b"\xff" * 9 + body[39:], b"no such thing"):
        with pytest.raises(Malformed):
            list(unwrap(kind, wrong))


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_bomb_comes_out_in_small_blocks(kind: Kind) -> None:
    body = WRAPPED[kind](bytes(64 << 20))
    assert max(len(block) for block in unwrap(kind, body)) <= (33 << 20 if kind == "tar.zst" else 256 << 10)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.zip", "zip"), ("A.TAR.GZ", "tar.gz"), ("x.tgz", "tar.gz"), ("x.gz", None), (".zip", None), ("zip", None)],
)
def test_kinds_by_name(name: str, kind: Kind | None) -> None:
    assert kind_of(name) == kind
