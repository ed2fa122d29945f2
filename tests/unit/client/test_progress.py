"""The arithmetic of progress."""

from __future__ import annotations

import pytest

from entrepot.client.progress import Progress, Tally


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_percent_and_time_left() -> None:
    progress = Progress("upload", bytes_done=250, bytes_total=1000, rate_bps=50.0)
    assert progress.percent == 25.0
    assert progress.eta_s == 15.0


def test_nothing_is_guessed_while_the_total_is_unknown() -> None:
    progress = Progress("list", bytes_done=250, rate_bps=50.0)
    assert progress.percent is None
    assert progress.eta_s is None


def test_no_bytes_at_all_are_all_of_them() -> None:
    assert Progress("upload", bytes_total=0, files_total=0).percent == 100.0
    assert Progress("upload", bytes_total=0, files_total=4, files_done=1).percent == 25.0


def test_the_rate_is_of_bytes_that_moved_in_the_last_seconds() -> None:
    clock = Clock()
    tally = Tally(None, clock)
    tally.begin("upload", bytes_total=10_000)
    tally.add(skipped=5_000)
    for _ in range(20):
        clock.now += 1
        tally.add(100)
    snapshot = tally.snapshot
    assert snapshot.rate_bps == 100.0
    assert snapshot.bytes_done == 7_000
    assert snapshot.bytes_moved == 2_000


def test_bytes_that_have_to_be_sent_again_are_given_back() -> None:
    tally = Tally(None)
    tally.begin("upload", bytes_total=100)
    tally.add(60)
    tally.add(-60)
    tally.add(100)
    assert tally.snapshot.bytes_done == 100


def test_a_callback_is_told_the_first_and_the_last_state_and_not_every_block() -> None:
    clock = Clock()
    told: list[Progress] = []
    tally = Tally(told.append, clock)
    tally.begin("upload", bytes_total=1000, files_total=1)
    for _ in range(1000):
        clock.now += 0.001
        tally.add(1)
    tally.add(files=1)
    tally.end()
    assert told[0].bytes_done == 0
    assert (told[-1].bytes_done, told[-1].files_done) == (1000, 1)
    assert len(told) < 20


def test_a_new_phase_starts_from_nothing() -> None:
    tally = Tally(None)
    tally.begin("hash", bytes_total=10)
    tally.add(10, files=3)
    tally.begin("upload", bytes_total=5)
    assert tally.snapshot == Progress("upload", bytes_total=5)


def test_thousands_of_small_files_are_a_few_moments_to_the_rate() -> None:
    clock = Clock()
    tally = Tally(None, clock)
    tally.begin("upload")
    for _ in range(10_000):
        clock.now += 0.001
        tally.add(10, files=1)
    assert tally.snapshot.rate_bps == pytest.approx(10_000, rel=0.02)
    assert tally.snapshot.files_done == 10_000
    assert len(tally._samples) < 120
