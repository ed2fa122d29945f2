"""Who runs when, and how a transfer goes on after each way of stopping. No network, no files but the journal."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from entrepot.client.parallel import Stop, Stopped
from entrepot.daemon.counter import Counter
from entrepot.daemon.engine import Engine
from entrepot.daemon.journal import Journal, Transfer
from entrepot.daemon.limiter import Limiter
from entrepot.model.errors import (
    Conflict,
    EntrepotError,
    Forbidden,
    Invalid,
    NotFound,
    SourceChanged,
    Unauthenticated,
    Unavailable,
)
from tests.support.server import wait_until

Work = Callable[[Transfer, Counter, Stop], dict[str, Any]]


@contextmanager
def engine_of(tmp_path: Path, work: Work, **more: Any) -> Iterator[Engine]:
    engine = Engine(Journal(tmp_path / "journal"), work, more.pop("withdraw", lambda _: None), **more)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def accept(engine: Engine, name: str, **more: Any) -> str:
    given: dict[str, Any] = {"client": "c", "server": "s", "file_name": name, "key": None, **more}
    return engine.accept("upload", {"title": name}, **given).id


def state(engine: Engine, transfer: str) -> str:
    return engine.journal.get(transfer).state


def until(engine: Engine, transfer: str, wanted: str) -> Transfer:
    wait_until(lambda: state(engine, transfer) == wanted, f"it is {wanted}", 30)
    return engine.journal.get(transfer)


def poke(engine: Engine) -> None:
    """The clock of the test has moved."""
    with engine._changed:
        engine._changed.notify_all()


def writable(journal: Journal, may_be: bool) -> None:
    """Whether the journal's file takes anything, as on a disk that is full or has become read-only."""
    with journal._lock:
        journal._connection.execute(f"pragma query_only = {int(not may_be)}")


class Held:
    """Work that goes on until it is let go or stopped."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.free = threading.Event()

    def __call__(self, transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        self.began.append(transfer.file_name)
        counter.expect(100, 1)
        counter.begin("upload", bytes_total=100, files_total=1)
        counter.add(1)
        while not self.free.is_set():
            stop.wait(0.01)
        return {"asset_id": "ver_x"}


def test_priority_comes_first_then_who_has_fewest_running_then_age(tmp_path: Path) -> None:
    held = Held()
    with engine_of(tmp_path, held, slots=1) as engine:
        first = accept(engine, "first", client="busy", priority=9)
        until(engine, first, "running")
        for name, client, priority in (("b2", "busy", 0), ("b3", "busy", 0), ("late", "other", 0), ("high", "busy", 5)):
            accept(engine, name, client=client, priority=priority)
        order = [one.file_name for one in engine._candidates()]
        assert order == ["high", "late", "b2", "b3"]


def test_a_higher_priority_makes_room_and_the_lower_one_goes_on_later(tmp_path: Path) -> None:
    held = Held()
    with engine_of(tmp_path, held, slots=1) as engine:
        low = accept(engine, "low")
        until(engine, low, "running")
        high = accept(engine, "high", priority=1)
        until(engine, high, "running")
        assert state(engine, low) == "queued"
        held.free.set()
        until(engine, low, "done")
        until(engine, high, "done")


def test_after_its_slice_of_time_one_makes_room_for_others(tmp_path: Path) -> None:
    held = Held()
    with engine_of(tmp_path, held, slots=1, slice_s=0.0) as engine:
        one, two = accept(engine, "one"), accept(engine, "two")
        wait_until(lambda: {"one", "two"} <= set(held.began) and held.began.count("one") > 1, "both have turns")
        held.free.set()
        assert until(engine, one, "done").attempts >= 1
        until(engine, two, "done")


def test_who_is_still_getting_ready_keeps_its_slot(tmp_path: Path) -> None:
    """Sent away in the middle of hashing a large file, it would begin to hash anew, for ever."""
    free = threading.Event()

    def hashing(transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        counter.expect(100, 1)
        counter.begin("hash")
        while not free.is_set():
            counter.add(1)
            stop.wait(0.01)
        return {}

    with engine_of(tmp_path, hashing, slots=1, slice_s=0.0) as engine:
        one, two = accept(engine, "one"), accept(engine, "two")
        run = until(engine, one, "running")
        poke(engine)
        assert not engine._had_its_turn(engine._running[run.id])
        free.set()
        assert until(engine, one, "done").attempts == 1
        until(engine, two, "done")


def test_paused_is_paused_until_it_is_resumed_also_by_the_next_daemon(tmp_path: Path) -> None:
    held = Held()
    with engine_of(tmp_path, held) as engine:
        transfer = accept(engine, "p")
        until(engine, transfer, "running")
        engine.pause(transfer)
        found = until(engine, transfer, "waiting")
        assert found.paused
        assert not engine.busy
    with engine_of(tmp_path, held) as engine:
        assert state(engine, transfer) == "waiting"
        held.free.set()
        engine.resume(transfer)
        until(engine, transfer, "done")
        with pytest.raises(Conflict):
            engine.pause(transfer)


def test_a_cancelled_one_ends_takes_back_what_it_began_and_says_so(tmp_path: Path) -> None:
    held, withdrawn = Held(), []
    with engine_of(tmp_path, held, withdraw=lambda one: withdrawn.append(one.id)) as engine:
        transfer = accept(engine, "c")
        until(engine, transfer, "running")
        told: list[tuple[str, dict[str, Any]]] = []
        engine.listen(transfer, "me", lambda method, params, _: told.append((method, params)))
        engine.cancel(transfer)
        wait_until(lambda: any(method == "ended" for method, _ in told), "the end is told")
        assert told[-1][1]["state"] == "cancelled"
        assert withdrawn == [transfer]
        assert engine.cancel(transfer).state == "cancelled"


def test_what_a_cancelled_one_made_after_all_is_taken_back(tmp_path: Path) -> None:
    """The server was making the version when the word came."""
    asked, made, withdrawn = threading.Event(), threading.Event(), []

    def making(transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        asked.set()
        made.wait(30)
        engine.journal.learn(transfer, version="ver_1", revision=1)
        return {"asset_id": "ver_1"}

    with engine_of(tmp_path, making, withdraw=lambda one: withdrawn.append(one.facts.get("version"))) as engine:
        transfer = accept(engine, "c")
        asked.wait(30)
        engine.cancel(transfer)
        made.set()
        wait_until(lambda: bool(withdrawn), "it is taken back", 30)
        assert (withdrawn, state(engine, transfer)) == (["ver_1"], "cancelled")


def test_a_journal_that_takes_nothing_stops_nothing_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What ended is noted when it can be again, and what waits begins then."""
    monkeypatch.setattr("entrepot.daemon.engine._JOURNAL_S", 0.01)
    held = Held()
    with engine_of(tmp_path, held, slots=1) as engine:
        one, two = accept(engine, "one"), accept(engine, "two")
        until(engine, one, "running")
        writable(engine.journal, False)
        held.free.set()
        wait_until(lambda: caplog.text.count("cannot be noted as done") > 2, "it is tried again", 30)
        assert (state(engine, one), state(engine, two)) == ("running", "queued")
        with pytest.raises(Unavailable, match="journal"):
            accept(engine, "three")
        with engine._changed:
            engine._running.clear()
        wait_until(lambda: "nothing can be begun" in caplog.text, "the next one is not begun", 30)
        writable(engine.journal, True)
        until(engine, one, "done")
        until(engine, two, "done")


def test_who_sets_the_time_of_day_back_makes_nobody_wait_for_it(tmp_path: Path) -> None:
    assert Engine(Journal(tmp_path / "journal"), Held(), lambda _: None).clock is time.monotonic


def test_many_that_wait_have_their_turn(tmp_path: Path) -> None:
    def work(transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        return {}

    with engine_of(tmp_path, work) as engine:
        journal = engine.journal
        last = ""
        for number in range(300):
            last = accept(engine, f"{number}")
        until(engine, last, "done")
        wait_until(lambda: not engine.busy, "all have ended", 60)
        assert {one.state for one in journal.transfers(ended=5000)} == {"done"}


def test_an_end_is_told_also_to_who_asks_later(tmp_path: Path) -> None:
    held = Held()
    held.free.set()
    with engine_of(tmp_path, held) as engine:
        transfer = accept(engine, "d")
        until(engine, transfer, "done")
        told: list[dict[str, Any]] = []
        engine.listen(transfer, "me", lambda _, params, __: told.append(params))
        assert [params["state"] for params in told] == ["done"]


@pytest.mark.parametrize(
    ("error", "let_in", "wanted"),
    [
        (Unavailable("the server is away"), False, "waiting"),
        (Unauthenticated("the token ran out"), True, "waiting"),
        (Unauthenticated("nobody"), False, "failed"),
        (Forbidden("not yours"), True, "failed"),
        (Invalid("no such name"), True, "failed"),
        (NotFound("404 page not found", details={"foreign": True}), True, "waiting"),
        (NotFound("404 page not found", details={"foreign": True}), False, "failed"),
        (EntrepotError("511"), True, "waiting"),
        (NotFound("there is no such project"), True, "failed"),
    ],
)
def test_what_went_wrong_decides_how_it_goes_on(
    tmp_path: Path, error: EntrepotError, let_in: bool, wanted: str
) -> None:
    def work(transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        if let_in:
            engine.journal.learn(transfer, let_in=True)
        raise error

    with engine_of(tmp_path, work) as engine:
        found = until(engine, accept(engine, "x"), wanted)
        assert found.error is not None
        assert found.error["code"] == error.code
        assert (found.retry_at is not None) == (wanted == "waiting")
        if isinstance(error, Unauthenticated):
            assert "entrepot login" in found.error["message"]


def test_a_source_that_never_holds_still_is_tried_a_few_times_and_then_fails(tmp_path: Path) -> None:
    tries = []

    def work(transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        tries.append(transfer.attempts)
        raise SourceChanged("it moves")

    now = [0.0]
    with engine_of(tmp_path, work, clock=lambda: now[0]) as engine:
        transfer = accept(engine, "x")
        for _ in range(10):
            wait_until(lambda: state(engine, transfer) in ("waiting", "failed"), "an attempt has ended")
            if state(engine, transfer) == "failed":
                break
            before = len(tries)
            now[0] += 10
            poke(engine)
            wait_until(lambda n=before: len(tries) > n, "another attempt begins")
        assert state(engine, transfer) == "failed"
        assert engine.journal.get(transfer).error["code"] == "source_changed"  # type: ignore[index]
        assert len(tries) == 5


def test_the_wait_doubles_is_bounded_and_is_never_the_same_for_all(tmp_path: Path) -> None:
    def work(transfer: Transfer, counter: Counter, stop: Stop) -> dict[str, Any]:
        raise Unavailable("away")

    now = [0.0]
    waits: list[float] = []
    with engine_of(tmp_path, work, clock=lambda: now[0], chance=random.Random(1)) as engine:
        transfer = accept(engine, "x")

        def ended(attempt: int) -> bool:
            found = engine.journal.get(transfer)
            return (found.state, found.attempts) == ("waiting", attempt)

        for attempt in range(1, 11):
            wait_until(lambda n=attempt: ended(n), "an attempt has ended")
            waits.append((engine.journal.get(transfer).retry_at or 0) - now[0])
            now[0] += 1000
            poke(engine)
    for number, wait in enumerate(waits):
        longest = min(300.0, 2.0**number)
        assert longest / 2 <= wait <= longest


def test_the_limit_is_shared_evenly_however_many_streams_one_has() -> None:
    limiter, stop, moved = Limiter(2_000_000.0), Stop(), {"one": 0, "many": 0}
    lock = threading.Lock()

    def stream(name: str) -> None:
        try:
            while True:
                limiter.take(name, 10_000, stop)
                with lock:
                    moved[name] += 10_000
                    if sum(moved.values()) >= 1_000_000:
                        stop.set()
        except Stopped:
            pass

    threads = [threading.Thread(target=stream, args=(name,)) for name in ("one", "many", "many", "many")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.35 <= moved["one"] / sum(moved.values()) <= 0.65, moved


def test_the_limit_is_the_rate_that_comes_out() -> None:
    """By a clock of its own: what went through in so many seconds is that many times the rate, and one block."""
    now = [0.0]

    def clock() -> float:
        now[0] += 0.0005
        return now[0]

    limiter, stop = Limiter(1e7, clock), Stop()
    for _ in range(50):
        limiter.take("a", 10_000, stop)
    assert 0.049 <= now[0] <= 0.1


def test_without_a_limit_nobody_waits_and_who_is_stopped_waits_no_longer() -> None:
    Limiter().take("a", 1 << 40, Stop())
    limiter, stop = Limiter(1024.0), Stop()
    limiter.take("a", 1 << 30, stop)
    stop.set()
    with pytest.raises(Stopped):
        limiter.take("a", 1, stop)
