"""Archives of every kind alike: what is refused, by which words, and what is passed through."""

from __future__ import annotations

import gzip
import zipfile

import pytest

from entrepot.archive.incoming import IncomingLimits, Judge, incoming, looked_through
from entrepot.archive.unpackers import kind_of
from entrepot.model.errors import EntrepotError, TooLarge
from tests.support.hostile_archives import CORPUS, tarred, zipped

LIMITS = IncomingLimits(free=4 << 20, ratio=10)


def read(filename: str, body: bytes, limits: IncomingLimits = LIMITS) -> tuple[dict[str, bytes], Judge]:
    kind = kind_of(filename)
    assert kind is not None
    judge = Judge(limits, limits.most(len(body)))
    arriving = incoming(kind, lambda at, length: body[at : at + length], len(body), judge)
    return {one.path: b"".join(one.blocks()) for one in arriving}, judge


@pytest.mark.parametrize("name", CORPUS)
def test_what_is_hostile_is_refused_by_name(name: str) -> None:
    hostile = CORPUS[name]
    with pytest.raises(EntrepotError) as refused:
        read(hostile.filename, hostile.body)
    assert not refused.value.retryable
    assert hostile.says in str(refused.value)


#: What only unpacking finds out: the bytes of members.
IN_BYTES = {"zip wrong CRC"}


def look(filename: str, body: bytes, limits: IncomingLimits = LIMITS, most: int = 1 << 30) -> tuple[bool, Judge, int]:
    kind = kind_of(filename)
    assert kind is not None
    judge, asked = Judge(limits, limits.most(len(body))), 0

    def read_at(at: int, length: int) -> bytes:
        nonlocal asked
        asked += length
        return body[at : at + length]

    return looked_through(kind, read_at, len(body), judge, most=most), judge, asked


@pytest.mark.parametrize("name", CORPUS)
def test_directory_and_headers_alone_refuse_what_is_hostile_in_them(name: str) -> None:
    hostile = CORPUS[name]
    if name in IN_BYTES:
        assert look(hostile.filename, hostile.body)[0]
        return
    with pytest.raises(EntrepotError) as refused:
        look(hostile.filename, hostile.body)
    assert hostile.says in str(refused.value)


def test_only_headers_of_a_plain_archive_are_read() -> None:
    body = tarred({f"{n}.bin": bytes(1 << 20) for n in range(3)})
    whole, judge, asked = look("x.tar", body)
    assert (whole, judge.members, judge.given) == (True, 3, 3 << 20)
    assert asked < 64 << 10
    with pytest.raises(EntrepotError, match="cut off"):
        look("x.tar", body[: 2 << 20])


def test_so_much_is_unwrapped_and_no_more() -> None:
    body = gzip.compress(tarred({"a": bytes(1 << 20), "../b": b"x"}))
    assert look("x.tar.gz", body, most=1 << 19)[0] is False
    with pytest.raises(EntrepotError, match="b"):
        look("x.tar.gz", body)


@pytest.mark.parametrize("packed", [("x.zip", zipped), ("x.tar", tarred)])
def test_what_is_good_passes(packed: tuple[str, object]) -> None:
    filename, pack = packed
    inner = zipped({"inside.txt": b"x"})
    members = {"./a.txt": b"a", "b/c.txt": b"", "nested.zip": inner, "A.txt": b"other"}
    found, judge = read(filename, pack(members))  # type: ignore[operator]
    assert found == {"a.txt": b"a", "b/c.txt": b"", "nested.zip": inner, "A.txt": b"other"}
    assert judge.clashes == [["a.txt", "A.txt"]]


def test_folders_are_passed_over_and_counted() -> None:
    body = zipped({"d/": b"", "d/e/": b"", "d/f.txt": b"x"})
    found, judge = read("x.zip", body)
    assert (found, judge.members) == ({"d/f.txt": b"x"}, 3)
    with pytest.raises(TooLarge, match="members"):
        read("x.zip", body, IncomingLimits(members=2))
    with pytest.raises(TooLarge, match="members"):
        read("x.tar", tarred({"a": b"", "b": b"", "c": b""}), IncomingLimits(members=2))


@pytest.mark.soak
def test_seventy_thousand_members() -> None:
    members = {f"d{i % 100}/f{i}.txt": b"" for i in range(70_000)}
    found, _ = read("x.zip", zipped(members, zipfile.ZIP_STORED))
    assert len(found) == 70_000


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("é.txt".encode(), "é.txt"),
        ("é.txt".encode("cp437"), "é.txt"),
        ("größe.txt".encode("cp437"), "größe.txt"),
        ("é.txt".encode("latin-1"), "é.txt"),
        ("größe.txt".encode("latin-1"), "größe.txt"),
        (b"\xc3\x28\xb1\xdb.txt", "Ã(±Û.txt"),
    ],
)
def test_names_in_the_encoding_of_some_machine(raw: bytes, name: str) -> None:
    body = zipped({"X" * len(raw): b"x"}).replace(b"X" * len(raw), raw)
    assert list(read("x.zip", body)[0]) == [name]


def test_a_name_that_dos_wrote_is_cp437_as_the_format_says() -> None:
    raw = "é.txt".encode("latin-1")
    body = zipped({"XXXXX": b"x"}).replace(b"XXXXX", raw)
    # The system that made it is the byte behind the version, in each record of the directory.
    directory = body.index(b"PK\1\2")
    assert body[directory + 5] == 3
    body = body[: directory + 5] + b"\0" + body[directory + 6 :]
    assert list(read("x.zip", body)[0]) == ["Θ.txt"]


def test_names_in_latin_1_stay_apart() -> None:
    raw = {name.encode("latin-1"): content for name, content in (("é.txt", b"0"), ("è.txt", b"1"), ("ü.txt", b"2"))}
    body = zipped({content.decode() + ".txt": content for content in raw.values()})
    for name, content in raw.items():
        body = body.replace(content + b".txt", name)
    found, judge = read("x.zip", body)
    assert {name.encode("latin-1"): content for name, content in found.items()} == raw
    assert judge.clashes == []


def test_a_name_that_is_no_text_in_any_encoding_is_refused_by_its_place() -> None:
    body = zipped({"a.txt": b"x", "XXXX": b"x"}).replace(b"XXXX", b"\xff\x07\xfe\x1b")
    with pytest.raises(EntrepotError, match="control"):
        read("x.zip", body)


def test_a_total_of_the_operators() -> None:
    with pytest.raises(TooLarge):
        read("x.zip", zipped({"a": bytes(2000)}), IncomingLimits(total=1000))
