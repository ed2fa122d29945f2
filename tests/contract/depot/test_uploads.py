"""The way of a byte: restartable, checked where it arrives, and named only when it is durable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from entrepot.catalog import uploads as upload_rows
from entrepot.depot import entries, uploads
from entrepot.depot.uploads import NewUpload
from entrepot.model.access import ANONYMOUS
from entrepot.model.errors import (
    Conflict,
    DigestMismatch,
    Gone,
    InProgress,
    Invalid,
    LengthMismatch,
    NotFound,
    OffsetMismatch,
    TooLarge,
    Unauthenticated,
)
from entrepot.store.memory import MemoryStore
from tests.support.house import House

DATA = b"0123456789" * 1000


def begin(house: House, who: object, **known: object) -> uploads.UploadRow:
    return uploads.begin(house.depot, who, NewUpload(**known))  # type: ignore[arg-type]


def send(house: House, who: object, row: uploads.UploadRow, offset: int, data: bytes) -> int:
    with uploads.receive(house.depot, who, row.uid, offset) as receiver:  # type: ignore[arg-type]
        receiver.write(data)
        return receiver.offset


def test_an_upload_continues_where_it_stopped(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=len(DATA))
    assert send(house, ann, row, 0, DATA[:4000]) == 4000
    assert uploads.get(house.depot, ann, row.uid).received == 4000
    send(house, ann, row, 4000, DATA[4000:])
    done, _ = uploads.finish(house.depot, ann, row.uid)
    assert (done.state, done.content_sha256) == ("finished", house.sha256(DATA))


def test_after_a_power_cut_a_piece_of_the_same_length_counts(house: House) -> None:
    """Its end is where the upload was before the cut, which is no reason not to write down that it arrived."""
    boots = ["before"]
    store = MemoryStore(boot=lambda: boots[-1])
    house.depot.store, house.depot.staging, house.depot.boot = store, store.staging, lambda: boots[-1]
    ann = house.user("ann")
    row = begin(house, ann, length=len(DATA))
    send(house, ann, row, 0, DATA[:4000])
    boots.append("after")
    store.lose_power()
    assert uploads.get(house.depot, ann, row.uid).received == 0
    send(house, ann, row, 0, DATA[:4000])
    assert uploads.get(house.depot, ann, row.uid).received == 4000
    send(house, ann, row, 4000, DATA[4000:])
    assert uploads.finish(house.depot, ann, row.uid)[0].content_sha256 == house.sha256(DATA)


def test_a_finished_upload_is_at_its_end(house: House) -> None:
    """The last bytes are named in the same call that brought them; whoever lost that answer asks where to go on."""
    ann = house.user("ann")
    row = begin(house, ann, length=len(DATA))
    send(house, ann, row, 0, DATA[:4000])
    receiver = uploads.receive(house.depot, ann, row.uid, 4000)
    receiver.write(DATA[4000:])
    receiver.finish()
    assert uploads.get(house.depot, ann, row.uid).received == len(DATA)
    assert [one.received for one in uploads.list_uploads(house.depot, ann).rows] == [len(DATA)]


def test_an_upload_that_died_before_it_was_named_is_named_when_asked_for(house: House) -> None:
    """Its sender reads that all bytes are here and commits it, as any client of restartable uploads would."""
    ann = house.user("ann")
    made = house.version(ann)
    row = begin(house, ann, length=len(DATA), sha256=house.sha256(DATA))
    assert send(house, ann, row, 0, DATA) == len(DATA)
    assert uploads.get(house.depot, ann, row.uid).state == "finished"
    entries.commit(house.depot, ann, made.n, [entries.Add("a", uploads.get(house.depot, ann, row.uid).uid)])
    assert house.tree(ann, made.n) == {"a": DATA}


def test_an_upload_of_other_bytes_that_died_before_it_was_compared_starts_again(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=len(DATA), sha256=house.sha256(DATA))
    send(house, ann, row, 0, DATA[::-1])
    again = uploads.get(house.depot, ann, row.uid)
    assert (again.state, again.received) == ("open", 0)
    assert send(house, ann, row, 0, DATA) == len(DATA)
    assert uploads.get(house.depot, ann, row.uid).state == "finished"


def test_an_upload_that_is_just_being_named_says_so(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=len(DATA))
    with uploads.receive(house.depot, ann, row.uid, 0) as receiver:
        receiver.write(DATA)
        with pytest.raises(InProgress):
            uploads.get(house.depot, ann, row.uid)
    assert uploads.get(house.depot, ann, row.uid).state == "finished"


def test_a_wrong_offset_names_the_right_one(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=len(DATA))
    send(house, ann, row, 0, DATA[:100])
    with pytest.raises(OffsetMismatch, match="Resume from 100") as wrong:
        uploads.receive(house.depot, ann, row.uid, 50)
    assert wrong.value.details["offset"] == 100


def test_two_writers_at_once_are_not_let_in(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann)
    with uploads.receive(house.depot, ann, row.uid, 0), pytest.raises(Conflict):
        uploads.receive(house.depot, ann, row.uid, 0)


def test_more_bytes_than_announced_are_refused_and_what_fits_is_kept(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=10)
    with uploads.receive(house.depot, ann, row.uid, 0) as receiver:
        receiver.write(b"12345")
        with pytest.raises(LengthMismatch):
            receiver.write(b"678901")
    assert uploads.get(house.depot, ann, row.uid).received == 5


def test_fewer_bytes_than_announced_cannot_be_finished(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=10)
    send(house, ann, row, 0, b"12345")
    with pytest.raises(LengthMismatch, match="Send the rest from 5"):
        uploads.finish(house.depot, ann, row.uid)


def test_bytes_that_are_not_the_announced_ones_are_thrown_away(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=3, sha256=house.sha256(b"abc"))
    send(house, ann, row, 0, b"abd")
    with pytest.raises(DigestMismatch, match="send them again"):
        uploads.finish(house.depot, ann, row.uid)
    assert uploads.get(house.depot, ann, row.uid).received == 0
    assert list(house.depot.store.keys()) == []
    send(house, ann, row, 0, b"abc")
    assert uploads.finish(house.depot, ann, row.uid)[0].state == "finished"


def test_finishing_twice_is_a_success(house: House) -> None:
    ann = house.user("ann")
    row = house.upload(ann, b"abc")
    again, _ = uploads.finish(house.depot, ann, row.uid)
    assert again.content == row.content


def test_an_empty_upload_is_an_upload(house: House) -> None:
    ann = house.user("ann")
    row = house.upload(ann, b"")
    assert row.content_size == 0


def test_what_a_crash_left_between_placing_and_naming_is_picked_up(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann, length=3)
    send(house, ann, row, 0, b"abc")
    stage = house.depot.staging.resume(row.key, durable=0, boot_id=row.boot_id)
    stage.place()
    stage.release()
    assert uploads.get(house.depot, ann, row.uid).received == 3
    done, _ = uploads.finish(house.depot, ann, row.uid)
    assert done.content_sha256 == house.sha256(b"abc")


def test_an_upload_is_its_owners_alone(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    row = house.upload(ann, b"abc")
    with pytest.raises(NotFound):
        uploads.get(house.depot, bob, row.uid)
    with pytest.raises(Unauthenticated):
        begin(house, ANONYMOUS, length=1)
    made = house.version(bob)
    with pytest.raises(Invalid, match="or it is not yours"):
        entries.commit(house.depot, bob, made.n, [entries.Add("a", upload=row.uid)])


def test_an_aborted_upload_is_gone_and_frees_its_bytes(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann)
    send(house, ann, row, 0, b"abc")
    uploads.abort(house.depot, ann, row.uid)
    with pytest.raises(Gone):
        uploads.get(house.depot, ann, row.uid)
    assert list(house.depot.staging.keys()) == []


def test_an_upload_expires_after_its_last_byte_and_is_swept(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann)
    house.clock.move(days=6)
    send(house, ann, row, 0, b"abc")
    house.clock.move(days=6)
    assert uploads.get(house.depot, ann, row.uid).received == 3
    house.clock.move(days=2)
    with pytest.raises(Gone, match="expired"):
        uploads.get(house.depot, ann, row.uid)
    assert uploads.sweep(house.depot) == 1
    assert list(house.depot.staging.keys()) == []
    assert uploads.sweep(house.depot) == 0


def test_what_is_refused_keeps_no_upload_alive(house: House) -> None:
    """Not even after a power cut, when how far the upload is gets written down anew."""
    boots = ["before"]
    store = MemoryStore(boot=lambda: boots[-1])
    house.depot.store, house.depot.staging, house.depot.boot = store, store.staging, lambda: boots[-1]
    ann = house.user("ann")
    row = begin(house, ann, length=3)
    send(house, ann, row, 0, b"abc")
    house.clock.move(days=6)
    boots.append("after")
    store.lose_power()
    with pytest.raises(LengthMismatch):
        send(house, ann, row, uploads.get(house.depot, ann, row.uid).received, b"much too long")
    house.clock.move(days=2)
    with pytest.raises(Gone, match="expired"):
        uploads.get(house.depot, ann, row.uid)


def test_sweeping_a_finished_upload_keeps_what_was_committed(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"abc"})
    house.clock.move(days=8)
    assert uploads.sweep(house.depot) == 1
    assert house.tree(ann, made.n) == {"a": b"abc"}


def test_parts_become_one_in_their_order(house: House) -> None:
    ann = house.user("ann")
    parts = [house.upload(ann, b"hello "), house.upload(ann, b"world")]
    whole = uploads.concatenate(house.depot, ann, [part.uid for part in parts], NewUpload())
    assert whole.content_sha256 == house.sha256(b"hello world")


def test_the_length_may_come_later_once(house: House) -> None:
    ann = house.user("ann")
    row = begin(house, ann)
    send(house, ann, row, 0, b"abc")
    with pytest.raises(LengthMismatch):
        uploads.declare_length(house.depot, ann, row.uid, 2)
    uploads.declare_length(house.depot, ann, row.uid, 3)
    with pytest.raises(LengthMismatch):
        uploads.declare_length(house.depot, ann, row.uid, 4)
    assert uploads.finish(house.depot, ann, row.uid)[0].content_size == 3


def test_a_person_cannot_open_uploads_without_end(house: House) -> None:
    ann = house.user("ann")
    house.depot.limits = replace(house.depot.limits, open_uploads_per_user=2)
    begin(house, ann)
    begin(house, ann)
    with pytest.raises(TooLarge, match="Finish or delete some first"):
        begin(house, ann)


@pytest.mark.parametrize(("more", "notes"), [(b"", 1), (b"x", 2)])
def test_how_far_an_upload_is_is_noted_once(
    house: House, monkeypatch: pytest.MonkeyPatch, more: bytes, notes: int
) -> None:
    """At every mark, and at the end of a piece unless it ends on one."""
    ann = house.user("ann")
    row = begin(house, ann)
    written: list[object] = []
    change = upload_rows.change

    def seen(conn: Connection, n: int, values: Mapping[str, object], **only: str | None) -> bool:
        written.append(values)
        return change(conn, n, values, **only)

    with uploads.receive(house.depot, ann, row.uid, 0) as receiver:
        monkeypatch.setattr(upload_rows, "change", seen)
        for block in [bytes(8 << 20)] * 8 + [more] * bool(more):
            receiver.write(block)
        receiver.close()
    assert len(written) == notes
    assert uploads.get(house.depot, ann, row.uid).received == (64 << 20) + len(more)


def test_what_comes_as_a_whole_is_not_synced_on_the_way_but_does_not_run_out_of_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "_MARK", 4)
    ann, synced = house.user("ann"), []
    row = begin(house, ann)
    with uploads.receive(house.depot, ann, row.uid, 0, whole=True) as receiver:
        monkeypatch.setattr(receiver._stage, "sync", lambda: synced.append(1))
        receiver.write(DATA)
        house.clock.move(days=5)
        receiver.write(DATA)
        house.clock.move(days=5)
        assert uploads.sweep(house.depot) == 0
        receiver.write(DATA)
        assert synced == []
        assert receiver.finish()[0].content_size == 3 * len(DATA)
