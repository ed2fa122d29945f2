"""Watched folders: what is pushed when, and that nothing in a folder ends the watching."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from entrepot.client.parallel import Stop
from entrepot.client.statcache import FileStat
from entrepot.daemon.accounts import Accounts
from entrepot.daemon.journal import Journal, Watch
from entrepot.daemon.limiter import Limiter
from entrepot.daemon.watching import Watcher
from entrepot.model.errors import Unavailable
from tests.support.server import wait_until


class Bench:
    """A watcher of one folder whose pushes are noted, with a clock of its own."""

    def __init__(self, tmp_path: Path, settle_s: float = 10.0) -> None:
        self.folder = tmp_path / "instrument"
        self.folder.mkdir()
        self.now = 0.0
        self.pushed: list[set[str]] = []
        self.fail: Exception | None = None
        self.journal = Journal(tmp_path / "journal")
        self.journal.put_watch(Watch("watch_1", str(self.folder), "lab/d", "http://s", settle_s))
        self.watcher = Watcher(self.journal, Accounts(), Limiter(), clock=lambda: self.now, push=self.push)

    def push(self, watch: Watch, settled: Mapping[str, FileStat], stop: Stop) -> None:
        if self.fail is not None:
            raise self.fail
        self.pushed.append(set(settled))

    def look(self, later: float = 0.0) -> bool:
        self.now += later
        (watch,) = self.journal.watches()
        return self.watcher.look(watch)

    @property
    def trouble(self) -> str | None:
        return self.watcher.shown()[0]["error"]  # type: ignore[no-any-return]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_holds_still_is_pushed_whatever_is_written_beside_it(bench: Bench) -> None:
    (bench.folder / "a").write_bytes(b"1")
    assert [bench.look(), bench.look(9.9)] == [False, False]
    (bench.folder / "growing").write_bytes(b"1")
    assert bench.look(0.2)
    (bench.folder / "growing").write_bytes(b"12")
    assert [bench.look(9.9), bench.look(9.9), bench.look(0.2)] == [False, False, True]
    assert bench.pushed == [{"a"}, {"a", "growing"}]
    assert not bench.look(1000)


def test_what_cannot_be_stored_is_said_and_holds_nothing_back(bench: Bench) -> None:
    os.mkfifo(bench.folder / "pipe")
    Path(os.fsdecode(os.fsencode(bench.folder) + b"/M\xfc.tif")).write_bytes(b"1")
    (bench.folder / "good").write_bytes(b"1")
    bench.look()
    assert bench.look(10)
    assert bench.pushed == [{"good"}]
    assert bench.trouble is not None
    assert "not pushed" in bench.trouble
    for place in list(bench.folder.iterdir()):
        if place.name != "good":
            place.unlink()
    bench.look()
    assert bench.trouble is None


@pytest.mark.parametrize("error", [Unavailable("away"), OSError(5, "input/output error"), RuntimeError("what?")])
def test_whatever_goes_wrong_is_said_and_tried_again_later(bench: Bench, error: Exception) -> None:
    (bench.folder / "a").write_bytes(b"1")
    bench.look()
    bench.fail = error
    assert not bench.look(10)
    assert bench.trouble is not None
    assert str(error) in bench.trouble
    bench.fail = None
    assert [bench.look(1), bench.look(10)] == [False, True]
    assert bench.trouble is None


def test_a_folder_that_is_away_for_a_while_is_no_end(bench: Bench) -> None:
    away = bench.folder.with_name("away")
    bench.folder.rename(away)
    assert not bench.look()
    assert bench.trouble is not None
    away.rename(bench.folder)
    (bench.folder / "a").write_bytes(b"1")
    bench.look(100)
    assert bench.look(100)


def test_a_folder_that_takes_long_to_look_at_is_looked_at_less_often(bench: Bench) -> None:
    """Ten per cent of one processor, not all of it."""
    calls = iter([100.0, 130.0, 130.0])
    bench.watcher._clock = lambda: next(calls)
    bench.look()
    assert bench.watcher._seen["watch_1"].look_at == pytest.approx(130 + 9 * 30)


def test_its_thread_survives_what_nobody_foresaw(bench: Bench) -> None:
    (bench.folder / "a").write_bytes(b"1")
    tries: list[float] = []

    def broken(watch: Watch) -> bool:
        tries.append(bench.now)
        bench.watcher._wake.set()
        raise RuntimeError("what?")

    bench.watcher.look = broken  # type: ignore[method-assign]
    bench.watcher.start()
    wait_until(lambda: len(tries) > 2, "it looks again", 30)
    bench.watcher.stop()
