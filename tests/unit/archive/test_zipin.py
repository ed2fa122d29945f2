"""Zip archives that come in: read in any order, believed in nothing."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.archive.zipin import ZipIn, ZipLimits
from entrepot.model.errors import EntrepotError, Invalid, Malformed, TooLarge


def opened(body: bytes, **limits: int) -> ZipIn:
    def read_at(offset: int, length: int) -> bytes:
        assert length <= 1 << 20, "in blocks"
        assert 0 <= offset <= offset + length <= len(body), "inside"
        return body[offset : offset + length]

    return ZipIn(read_at, len(body), ZipLimits(**limits))


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, **how: bool) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, **how) as archive:  # type: ignore[arg-type]
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def read(body: bytes, **limits: int) -> dict[str, bytes]:
    archive = opened(body, **limits)
    return {member.name: b"".join(archive.blocks(member)) for member in archive.members()}


@given(
    st.dictionaries(st.text("abcÄ/.", min_size=1, max_size=8).filter(lambda n: not n.endswith("/")), st.binary()),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.binary(max_size=50),
    st.binary(max_size=50),
)
def test_what_was_packed_comes_out(members: dict[str, bytes], method: int, before: bytes, comment: bytes) -> None:
    body = zipped(members, method)
    with zipfile.ZipFile(io.BytesIO(body), "a") as archive:
        archive.comment = comment
    out = io.BytesIO(body)
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = comment
    assert read(out.getvalue()) == members
    assert read(before + out.getvalue()) == members, "programs may stand in front"


def test_members_larger_than_a_block_and_more_of_them_than_fit_into_one() -> None:
    large = {"zeros": bytes(3 << 20), "mixed": bytes(range(256)) * 5000}
    assert read(zipped(large)) == large
    many = {f"{i:05}" + "x" * 100: b"" for i in range(4000)}
    assert read(zipped(many)) == many


def test_large_archives_have_another_directory() -> None:
    many = {str(i): b"" for i in range(66_000)}
    archive = opened(zipped(many, zipfile.ZIP_STORED))
    assert len(archive) == 66_000
    assert [member.name for member in archive.members()] == list(many)


def test_sizes_beyond_32_bits_are_read_from_their_field() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(b"content")
    body = bytearray(out.getvalue())
    at = body.index(b"PK\1\2")
    extra = struct.pack("<HHQQ", 1, 16, 7, 7)
    name_end = at + 46 + 1
    struct.pack_into("<LL", body, at + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", body, at + 30, len(extra))
    body[name_end:name_end] = extra
    end = body.index(b"PK\5\6")
    struct.pack_into("<L", body, end + 12, struct.unpack_from("<L", body, end + 12)[0] + len(extra))
    assert read(bytes(body)) == {"a": b"content"}


def test_folders_and_names() -> None:
    body = zipped({"d/": b"", "é": b"1"})
    archive = opened(body)
    assert [(one.name, one.is_folder, one.size) for one in archive.members()] == [("d/", True, 0), ("é", False, 1)]
    old = zipped({"ABC": b"x"}).replace(b"ABC", b"A\x94C")
    assert list(read(old)) == ["AöC"]


def test_the_limits_hold() -> None:
    with pytest.raises(TooLarge):
        opened(zipped({str(i): b"" for i in range(11)}), members=10)
    with pytest.raises(TooLarge, match="bomb"):
        read(zipped({"bomb": bytes(10 << 20)}), free=1 << 20, ratio=10)


def changed(body: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    at = body.index(signature) + offset
    return body[:at] + value + body[at + len(value) :]


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda body: b"", Malformed),
        (lambda body: b"PK\5\6", Malformed),
        (lambda body: body[:-1], Malformed),
        (lambda body: changed(body, b"PK\5\6", 4, b"\1\0"), Malformed),
        (lambda body: changed(body, b"PK\5\6", 12, b"\xff\xff\xff\x00"), Malformed),
        (lambda body: changed(body, b"PK\5\6", 16, b"\xff\xff\xff\x00"), Malformed),
        (lambda body: changed(body, b"PK\5\6", 8, b"\x05\x00\x05\x00"), Malformed),
        (lambda body: changed(body, b"PK\1\2", 0, b"XX"), Malformed),
        (lambda body: changed(body, b"PK\1\2", 28, b"\xff\xff"), Malformed),
        (lambda body: changed(body, b"PK\1\2", 28, b"\0\0"), EntrepotError),
        (lambda body: changed(body, b"PK\1\2", 8, b"\1\0"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 10, b"\x0e\x00"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 16, b"\0\0\0\0"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 20, b"\xff\xff\xff\x00"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 20, b"\xff\xff\xff\xff"), Malformed),
        (lambda body: changed(body, b"PK\1\2", 24, b"\x01\0\0\0"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 24, b"\xff\xff\0\0"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 34, b"\x05\x00"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 42, b"\xff\xff\0\0"), Invalid),
        (lambda body: changed(body, b"PK\3\4", 0, b"XX"), Invalid),
        (lambda body: changed(body, b"PK\3\4", 26, b"\xff\xff"), Invalid),
        (lambda body: changed(body, b"PK\3\4", 40, b"\xff\xff\xff\xff"), Invalid),
        (lambda body: changed(body, b"PK\1\2", 38, struct.pack("<L", 0o120777 << 16)), Invalid),
    ],
)
def test_damage_is_refused(damage: Callable[[bytes], bytes], error: type[EntrepotError]) -> None:
    body = damage(zipped({"a.txt": b"some text, more text, some text" * 5}))
    with pytest.raises(error):
        read(body)


@given(st.data())
def test_no_change_of_a_byte_does_anything_but_change_or_refuse(data: st.DataObject) -> None:
    body = bytearray(zipped({"a": b"content " * 20, "b/": b"", "c": b""}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(bytes(body))
    except EntrepotError:
        return
    # Names and what is unused may differ; content is what its checksum says.
    assert all(content in (b"content " * 20, b"") for content in found.values())
