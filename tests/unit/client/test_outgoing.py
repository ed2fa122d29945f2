"""What of a folder goes out: each small file read once, by one reader, unless the disk lets a reader wait."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from entrepot.client import outgoing
from entrepot.client.outgoing import Outgoing
from entrepot.client.parallel import Stop
from entrepot.client.progress import Tally
from entrepot.client.statcache import StatCache
from entrepot.client.transport import Transport
from entrepot.client.tree import SMALL, LocalFile, read_small, scan
from entrepot.client.turns import Turns
from entrepot.model.digests import sha256_text
from entrepot.model.errors import SourceChanged
from entrepot.store.hashing import digests_of


@pytest.fixture
def stats(tmp_path: Path) -> Iterator[StatCache]:
    with StatCache(tmp_path / "stat.sqlite3") as cache:
        yield cache


def digest(content: bytes) -> str:
    return sha256_text(digests_of([content]).sha256)


class Nobody:
    """A server that nothing is asked: whatever the tests have, it has."""


def surveyed(root: Path, stats: StatCache, contents: dict[str, bytes], *, computes: float = 1.0) -> Outgoing:
    """A survey of files whose contents the server has.

    Args:
        computes: The part of the time in which the reader does not wait.
    """
    root.mkdir()
    for name, content in contents.items():
        (root / name).write_bytes(content)
    clock, processor = itertools.count(), itertools.count()
    out = Outgoing(
        cast("Transport", Nobody()),
        stats,
        have={digest(content) for content in contents.values()},
        tally=Tally(None),
        stop=Stop(),
        turns=Turns(clock=lambda: float(next(clock)), processor=lambda: computes * next(processor)),
    )
    out.digest(scan(root).files.values())
    out.survey()
    return out


def test_every_file_is_known_by_its_digest_and_read_once(
    tmp_path: Path, stats: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"f{n:03}": os.urandom(n) for n in range(120)} | {"large": os.urandom(SMALL + 1)}
    read: list[str] = []

    def reading(file: LocalFile) -> bytes:
        read.append(file.path)
        return read_small(file)

    monkeypatch.setattr(outgoing, "read_small", reading)
    out = surveyed(tmp_path / "tree", stats, contents)
    assert out.digests == {path: digest(content) for path, content in contents.items()}
    assert sorted(read) == sorted(contents.keys() - {"large"})
    assert (out.sent_files, out.sent_bytes) == (0, 0)


@pytest.mark.parametrize(("computes", "readers"), [(1.0, 1), (0.5, 1), (0.05, 2)])
def test_several_read_at_once_only_where_a_reader_waits(
    tmp_path: Path, stats: StatCache, monkeypatch: pytest.MonkeyPatch, computes: float, readers: int
) -> None:
    contents = {f"f{n:03}": os.urandom(16) for n in range(200)}
    seen: set[int] = set()
    # With several readers the first two meet here; one would stand here alone for ever.
    meeting = threading.Barrier(readers)
    met = threading.Event()

    def reading(file: LocalFile) -> bytes:
        seen.add(threading.get_ident())
        if file.path >= "f050" and not met.is_set():
            meeting.wait(30)
            met.set()
        return read_small(file)

    monkeypatch.setattr(outgoing, "read_small", reading)
    out = surveyed(tmp_path / "tree", stats, contents, computes=computes)
    assert len(out.digests) == 200
    assert (len(seen) > 1) == (readers > 1)


def test_a_file_that_moves_once_is_taken_as_it_is_then(
    tmp_path: Path, stats: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(file: LocalFile) -> bytes:
        content = read_small(file)
        if content == b"before":
            file.place.write_bytes(b"and after")
            raise SourceChanged("It changed.")
        return content

    monkeypatch.setattr(outgoing, "read_small", reading)
    out = Outgoing(cast("Transport", Nobody()), stats, have={digest(b"and after")}, tally=Tally(None), stop=Stop())
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(b"before")
    out.digest(scan(tmp_path / "tree").files.values())
    out.survey()
    assert out.digests == {"a": digest(b"and after")}
    assert out.files["a"].size == len(b"and after")


def test_a_small_file_that_grows_large_is_not_read_into_memory(
    tmp_path: Path, stats: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(b"small")
    files = list(scan(tmp_path / "tree").files.values())
    (tmp_path / "tree" / "a").write_bytes(bytes(SMALL + 1))
    read: list[int] = []

    def reading(file: LocalFile) -> bytes:
        read.append(file.size)
        return read_small(file)

    monkeypatch.setattr(outgoing, "read_small", reading)
    out = Outgoing(cast("Transport", Nobody()), stats, tally=Tally(None), stop=Stop())
    out.digest(files)
    with pytest.raises(SourceChanged, match="grew"):
        out.survey()
    assert read == [len(b"small")]
