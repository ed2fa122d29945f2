"""Collection: giving back the bytes that nothing refers to any more.

    used ──condemn──► condemned ──grace──► end: rows gone, object doomed ──► bytes deleted ──► object forgotten

Nothing is deleted because a listing of the store shows it: every object has a row before it has bytes, and only rows
decide. What ended in a pack, which others share, leaves a gap; `compaction` closes those. A run may be killed anywhere,
and any number may run at once; the next one finishes what was begun.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from entrepot.catalog import collecting as rows
from entrepot.catalog import compacting, reach
from entrepot.catalog.collecting import DoomedObject
from entrepot.catalog.connection import Connection
from entrepot.catalog.reach import Frees
from entrepot.depot import compaction, lookup
from entrepot.depot.context import Depot
from entrepot.model.access import Action, Actor, Standing, require
from entrepot.model.errors import EntrepotError, Invalid

log = structlog.get_logger(__name__)

#: Contents looked at in one read, and ended in one transaction.
_LOOK, _END = 5000, 50
#: Entries of a part of a version whose purge is weighed, and parts at most. Each looks through all entries, which costs
#: little beside what it does with its own.
PART, MOST_PARTS = 10_000, 100
_COUNTED = PART * MOST_PARTS

Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run did, or with `dry_run` what it would find to do now.

    Args:
        condemned: Contents that nothing refers to, newly found; they wait out the grace.
        condemned_bytes: Theirs.
        ended: Contents whose grace was over and that nothing referred to even then.
        ended_bytes: Theirs.
        objects: Objects whose bytes were deleted.
        freed_bytes: Theirs: what the disk got back. Small files that shared an object, a pack, give nothing back until
            less than half of it is needed.
        packs: Packs of which less than half is needed, and that were rewritten.
        packs_bytes: What the disk gets back by that: the old ones go with the next run.
        held: Only looking: contents that nothing but a finished upload refers to. They stay for
            `policy.upload_lifetime` after its last byte.
        held_bytes: Theirs.
        is_whole: False where only looking ended before everything was looked at.
    """

    condemned: int = 0
    condemned_bytes: int = 0
    ended: int = 0
    ended_bytes: int = 0
    objects: int = 0
    freed_bytes: int = 0
    packs: int = 0
    packs_bytes: int = 0
    held: int = 0
    held_bytes: int = 0
    is_whole: bool = True


def frees(depot: Depot, actor: Actor, key: lookup.Key) -> Frees:
    """What purging this version would free: the bytes that nothing else keeps alive, once the grace is over.

    Uploads by which the bytes came do not count as keeping them alive, for they end by themselves.
    """
    with depot.catalog.read() as conn:
        return reach.frees(conn, lookup.version(conn, actor, key, Action.PURGE).version.n)


@dataclass(frozen=True, slots=True)
class FreesPart:
    """A part of what a purge would free.

    Args:
        part, parts: Which, and how many there are. One part says about as much as any other.
    """

    part: int
    parts: int
    frees: Frees

    @property
    def is_last(self) -> bool:
        return self.part + 1 >= self.parts


def frees_part(depot: Depot, actor: Actor, key: lookup.Key, part: int = 0, parts: int | None = None) -> FreesPart:
    """What purging this version would free, a part at a time: for those who wait, of versions of many files.

    Args:
        part, parts: Which part, of as many as an earlier answer said; without that it is the first, and the answer says
            how many there are. The sum of all is what `frees` says, if nothing changes meanwhile.

    Raises:
        Invalid: There is no such part.
    """
    with depot.catalog.read() as conn:
        n = lookup.version(conn, actor, key, Action.PURGE).version.n
        if parts is None:
            parts = min(MOST_PARTS, max(1, -(-reach.held(conn, n, most=_COUNTED) // PART)))
        if not 0 <= part < parts <= MOST_PARTS:
            raise Invalid(f"There is no part {part} of {parts}.")
        return FreesPart(part, parts, reach.frees(conn, n, part=part, parts=parts))


def gc(depot: Depot, actor: Actor, *, dry_run: bool = False, looks: int | None = None) -> Collected:
    """Collect now, for an operator.

    Args:
        dry_run: Only look.
        looks: As for `look`.
    """
    require(actor, Action.OPERATE, Standing(), "the collection of bytes", visible=True)
    return look(depot, looks=looks) if dry_run else collect(depot)


def collect(depot: Depot, step: Step = lambda _done: None) -> Collected:
    """One run: end what waited out its grace, condemn what nothing refers to, delete what is doomed.

    Args:
        step: Told how much was done, after each transaction; what it raises ends the run, which does no harm.
    """
    now, before = depot.now(), depot.now() - depot.policy.collection_grace
    ended, ended_bytes = _end(depot, before, step)
    condemned, condemned_bytes = _condemn(depot, before, now, step)
    depot.catalog.write(lambda conn: rows.expire_placing(conn, before=before))
    depot.catalog.write(compacting.doom_empty)
    objects, freed = _delete(depot, step)
    # Last, when there is room. What this empties goes with the next run: who knows its key may read on until then.
    packs, packs_bytes = compaction.compact(depot, step)
    done = Collected(condemned, condemned_bytes, ended, ended_bytes, objects, freed, packs, packs_bytes)
    if done != Collected():
        log.info("collected", condemned=condemned, ended=ended, objects=objects, freed_bytes=freed, packs=packs)
    return done


def look(depot: Depot, *, looks: int | None = None) -> Collected:
    """What `collect` would find now. What it would delete is what is doomed already and what it would end.

    Args:
        looks: How often to read some thousand contents at most; None looks at all of them.
    """
    before = depot.now() - depot.policy.collection_grace
    with depot.catalog.read() as conn:
        ended, ended_bytes, objects, freed = rows.waiting(conn, before=before)
        packs, packs_bytes = rows.sparse_after(conn, before=before)
    condemned, condemned_bytes, after, looked = 0, 0, 0, 0
    held, held_bytes = 0, 0
    while True:
        with depot.catalog.read() as conn:
            found, last = rows.unreferenced(conn, before=before, after=after, limit=_LOOK)
            condemned += len(found)
            condemned_bytes += sum(rows.sizes(conn, found).values())
            more, more_bytes = rows.held(conn, after=after, limit=_LOOK)
        held, held_bytes = held + more, held_bytes + more_bytes
        looked += 1
        if last is None or looked == looks:
            return Collected(
                condemned,
                condemned_bytes,
                ended,
                ended_bytes,
                objects,
                freed,
                packs,
                packs_bytes,
                held,
                held_bytes,
                is_whole=last is None,
            )
        after = last


def _end(depot: Depot, before: datetime, step: Step) -> tuple[int, int]:
    count, size = 0, 0
    while True:
        with depot.catalog.read() as conn:
            due = rows.doomable(conn, before=before, limit=_END)
        if not due:
            return count, size

        ended = depot.catalog.write(partial(_end_in, due=due, before=before))
        count, size = count + len(ended), size + sum(ended)
        step(count)


def _end_in(conn: Connection, due: list[int], before: datetime) -> list[int]:
    known = rows.sizes(conn, due)
    # In order of number, as everybody who locks several contents does.
    return [known[n] for n in sorted(known) if rows.doom(conn, n, before=before)]


def _condemn(depot: Depot, before: datetime, now: datetime, step: Step) -> tuple[int, int]:
    count, size, after = 0, 0, 0
    while True:
        with depot.catalog.read() as conn:
            found, last = rows.unreferenced(conn, before=before, after=after, limit=_LOOK)
            found_bytes = sum(rows.sizes(conn, found).values())
        if found:
            count += depot.catalog.write(partial(rows.condemn, contents=found, before=before, at=now), bulk=True)
            size += found_bytes
        step(count)
        if last is None:
            return count, size
        after = last


def _delete(depot: Depot, step: Step) -> tuple[int, int]:
    count, size, after = 0, 0, 0
    while True:
        with depot.catalog.read() as conn:
            doomed = rows.doomed_objects(conn, after=after, limit=_END)
        if not doomed:
            return count, size
        gone = [one for one in doomed if _deleted(depot, one)]
        forgotten = depot.catalog.write(partial(_forget_in, gone=gone))
        count, size, after = count + len(forgotten), size + sum(forgotten), doomed[-1].n
        step(count)


def _deleted(depot: Depot, one: DoomedObject) -> bool:
    """Whether its bytes are gone. If not its row stays, and with it the next run's chance to delete them."""
    if one.store != depot.store.name:
        log.warning("an object lies in a store that this server does not have", key=one.key, store=one.store)
        return False
    try:
        depot.store.delete(one.key)
    except EntrepotError as error:
        log.warning("an object could not be deleted", key=one.key, error=str(error))
        return False
    return True


def _forget_in(conn: Connection, gone: list[DoomedObject]) -> list[int]:
    return [one.size for one in gone if rows.forget_object(conn, one.n)]
