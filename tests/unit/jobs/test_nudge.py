"""A nudge wakes every worker of the folder, costs nothing when nobody is there, and never fails."""

from __future__ import annotations

from pathlib import Path

from entrepot.jobs.nudge import Nudges, nudge


def test_a_nudge_wakes_everybody_who_sleeps_there(tmp_path: Path) -> None:
    one, other = Nudges(tmp_path, "one"), Nudges(tmp_path, "other")
    nudge(tmp_path)
    assert one.wait(60) is True
    assert other.wait(60) is True
    one.close()
    other.close()


def test_many_nudges_are_one_waking(tmp_path: Path) -> None:
    sleeper = Nudges(tmp_path, "one")
    for _ in range(1000):
        nudge(tmp_path)
    assert sleeper.wait(60) is True
    assert sleeper.wait(0.001) is False
    sleeper.close()


def test_nobody_there_is_fine(tmp_path: Path) -> None:
    nudge(tmp_path)
    nudge(tmp_path / "missing")


def test_the_socket_of_a_worker_that_was_killed_is_tidied_away(tmp_path: Path) -> None:
    gone = Nudges(tmp_path, "gone")
    gone._socket.close()
    assert (tmp_path / "gone.wake").exists()
    nudge(tmp_path)
    assert not (tmp_path / "gone.wake").exists()


def test_a_worker_that_ends_leaves_no_socket(tmp_path: Path) -> None:
    Nudges(tmp_path, "one").close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_lie_deeper_than_a_sockets_address_is_long(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    sleeper = Nudges(deep, "one")
    nudge(deep)
    assert sleeper.wait(60) is True
    sleeper.close()
