"""Slots that take one PUT and start by themselves: what a wrong PUT does, and creates that are repeated."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from entrepot.depot import credentials, history, slots, tokens, versions
from entrepot.depot.credentials import Bearer
from entrepot.depot.slots import NewSlot, Slot
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import DigestMismatch, Gone, LengthMismatch, WrongState
from entrepot.model.values import Kind, Numbering, Scope, Stage, State, Version
from tests.support.house import House

QUARTER = timedelta(minutes=15)


def waiting(house: House, who: Actor, name: str = "run", **more: bool) -> tuple[Version, Slot]:
    how = {"once": True, "starts": True, **more}
    new = NewVersion(name=name, kind=Kind.RECORDS, numbering=Numbering.NEXT)
    slot = NewSlot(None, length=3, crc32c=1, suffix=".ndjson", **how)
    version, (made,) = slots.create(house.depot, who, None, new, [slot], again_within=QUARTER)
    return version, made


def put(filling: slots.Filling, data: bytes) -> None:
    try:
        filling.write(data)
        filling.finish()
    finally:
        filling.close()


WRONG = [(b"abc", DigestMismatch), (b"ab", LengthMismatch), (b"abcd", LengthMismatch)]


@pytest.mark.parametrize(("data", "error"), WRONG)
def test_a_wrong_put_into_the_only_place_fails_the_version(house: House, data: bytes, error: type[Exception]) -> None:
    ann = house.user("ann")
    version, slot = waiting(house, ann)
    with pytest.raises(error):
        put(slots.fill(house.depot, ann, slot.uid), data)
    failed = versions.get(house.depot, ann, version.n).version
    assert (failed.state, failed.stage) == (State.FAILED, Stage.TRANSFER)
    assert failed.report is not None
    assert "did not arrive as it was announced" in failed.report["message"]
    assert [one.state for one in history.ingests_of(house.depot, ann, version.n)] == [State.FAILED]
    with pytest.raises((Gone, WrongState)):
        slots.fill(house.depot, ann, slot.uid)


@pytest.mark.parametrize("how", [{"once": False}, {"starts": False}])
def test_elsewhere_a_wrong_put_may_be_repeated(house: House, how: dict[str, bool]) -> None:
    ann = house.user("ann")
    version, slot = waiting(house, ann, **how)
    filling = slots.fill(house.depot, ann, slot.uid)
    with pytest.raises(LengthMismatch):
        filling.write(b"too much")
    filling.close()
    assert versions.get(house.depot, ann, version.n).version.state is State.RECEIVING
    slots.fill(house.depot, ann, slot.uid).close()


def test_a_put_that_is_cut_leaves_the_place_open(house: House) -> None:
    ann = house.user("ann")
    version, slot = waiting(house, ann)
    filling = slots.fill(house.depot, ann, slot.uid)
    filling.write(b"a")
    filling.close()
    assert versions.get(house.depot, ann, version.n).version.state is State.RECEIVING
    slots.fill(house.depot, ann, slot.uid).close()


def test_only_the_same_token_is_answered_with_its_own_version(house: House) -> None:
    house.user("ann")
    one, two = (house.log_in("ann", token=None, scope=Scope.WRITE) for _ in range(2))
    assert waiting(house, one)[0].n != waiting(house, two)[0].n, "without a token nobody can be told from another"


def test_of_equal_creates_at_once_there_is_one_version(house: House) -> None:
    ann = house.user("ann")
    text = tokens.create(house.depot, ann, scope=Scope.WRITE, never=True).text
    actor = credentials.authenticate(house.depot, Bearer(text), door="datature")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: waiting(house, actor), range(8)))
    assert len({version.n for version, _ in made}) == 1
    assert len({slot.uid for _, slot in made}) == 1
    house.clock.move(minutes=16)
    assert waiting(house, actor)[0].n != made[0][0].n
