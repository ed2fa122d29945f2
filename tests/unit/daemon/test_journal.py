"""The journal: what was promised stays promised, an end is final, and damage costs the journal and nothing else."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from entrepot.daemon.journal import Journal, Transfer
from entrepot.model.errors import Conflict, DiskFull, NotFound, Unavailable


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def accepted(journal: Journal, name: str, **more: Any) -> Transfer:
    given: dict[str, Any] = {"client": "c", "server": "http://s", "file_name": name, "key": None, **more}
    return journal.accept(f"tr_{name}", "upload", {"title": name}, **given)[0]


def full_up(journal: Journal) -> None:
    """From now on as if there were no room on its disk for another page."""
    with journal._lock:
        (pages,) = journal._connection.execute("pragma page_count").fetchone()
        journal._connection.execute(f"pragma max_page_count = {pages}")


def test_what_ran_when_it_died_is_queued_and_what_was_paused_stays_so(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for name in ("ran", "paused", "waited", "done"):
        accepted(journal, name)
    journal.change("tr_ran", state="running")
    journal.change("tr_paused", state="waiting", paused=1)
    journal.change("tr_waited", state="waiting", retry_at=9e9)
    journal.change("tr_done", state="done", result={"asset_id": "ver_1"})
    journal.close()
    again = Journal(tmp_path / "j")
    assert again.recover() == 3
    found = {one.id: (one.state, one.paused, one.retry_at) for one in again.transfers()}
    assert found == {
        "tr_ran": ("queued", False, None),
        "tr_paused": ("waiting", True, None),
        "tr_waited": ("queued", False, None),
        "tr_done": ("done", False, None),
    }


def test_an_end_is_final(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    accepted(journal, "a")
    journal.change("tr_a", state="cancelled")
    assert journal.change("tr_a", state="running").state == "cancelled"
    assert journal.change("tr_a", state="done", result={}).result is None


def test_the_same_key_is_the_same_transfer_and_never_another(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    given: dict[str, Any] = {"client": "c", "server": "s", "file_name": "f", "key": "k"}
    first, fresh = journal.accept("tr_1", "upload", {"title": "x", "tags": None}, **given)
    again, repeated = journal.accept("tr_2", "upload", {"title": "x", "tags": None}, **given)
    assert (fresh, repeated, again.id) == (True, False, first.id)
    with pytest.raises(Conflict):
        journal.accept("tr_3", "upload", {"title": "y", "tags": None}, **given)


def test_what_ended_long_ago_is_forgotten_and_what_is_unfinished_never(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "j", clock)
    accepted(journal, "old")
    accepted(journal, "open")
    journal.note_upload("tr_old", b"1" * 32, "up_1", finished=True)
    journal.change("tr_old", state="done")
    clock.now += 365 * 86_400
    journal.recover()
    with pytest.raises(NotFound):
        journal.get("tr_old")
    assert journal.get("tr_open").state == "queued"
    assert journal.find_upload("tr_old", b"1" * 32) is None


def test_two_transfers_of_one_content_have_uploads_of_their_own(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    one, two = journal.uploads("tr_1"), journal.uploads("tr_2")
    one.note("s", b"x" * 32, "up_1", finished=False)
    assert two.find("s", b"x" * 32) is None
    found = one.find("s", b"x" * 32)
    assert found is not None
    assert (found.upload, found.finished) == ("up_1", False)
    one.forget("s", [b"x" * 32])
    assert one.find("s", b"x" * 32) is None


def test_a_damaged_journal_is_put_aside_and_a_newer_one_refused(tmp_path: Path) -> None:
    place = tmp_path / "j"
    place.write_bytes(b"no database at all" * 100)
    journal = Journal(place)
    assert journal.damaged is not None
    assert journal.damaged.read_bytes().startswith(b"no database")
    assert journal.transfers() == []
    journal.close()
    connection = sqlite3.connect(place)
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(Conflict, match="newer"):
        Journal(place)


def test_damage_in_its_middle_is_found_when_it_is_opened_and_not_over_and_over_later(tmp_path: Path) -> None:
    place = tmp_path / "j"
    journal = Journal(place)
    for number in range(200):
        accepted(journal, f"{number}" + "x" * 500)
    journal.close()
    content = bytearray(place.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 5000] = b"\xaa" * 5000
    place.write_bytes(content)
    again = Journal(place)
    assert again.damaged is not None
    assert again.recover() == 0


def test_a_full_disk_is_said_keeps_nothing_of_the_change_and_passes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    accepted(journal, "before")
    full_up(journal)
    with pytest.raises(DiskFull, match="Make room"):
        accepted(journal, "x" * 100_000)
    assert [one.id for one in journal.transfers()] == ["tr_before"]
    journal._connection.execute("pragma max_page_count = 100000")
    assert accepted(journal, "after").state == "queued"


def test_a_journal_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    with pytest.raises(Unavailable, match="journal"):
        Journal(tmp_path / "j")


def test_what_was_made_is_noted_also_when_the_end_came_before_it(tmp_path: Path) -> None:
    """Otherwise a version whose upload was cancelled while the server made it could not be taken back."""
    journal = Journal(tmp_path / "j")
    transfer = accepted(journal, "a")
    journal.change("tr_a", state="cancelled")
    found = journal.learn(transfer, version="ver_1")
    assert (found.state, found.facts) == ("cancelled", {"version": "ver_1"})


def test_files_of_a_download_come_in_pages_and_go_with_it(tmp_path: Path) -> None:
    clock = Clock()
    journal = Journal(tmp_path / "j", clock)
    accepted(journal, "d")
    journal.put_files("tr_d", [["old"]])
    journal.put_files("tr_d", [[f"/out/{n}", "M\udcfcller", n, "sha256:00"] for n in range(5)])
    assert [row[2] for row in journal.files("tr_d", 0, 3)] == [0, 1, 2]
    assert journal.files("tr_d", 3, 3)[1] == ["/out/4", "M\udcfcller", 4, "sha256:00"]
    journal.change("tr_d", state="done")
    journal.forget_old()
    assert len(journal.files("tr_d", 0, 9)) == 5
    clock.now += 2 * 86_400
    journal.forget_old()
    assert journal.files("tr_d", 0, 3) == []
