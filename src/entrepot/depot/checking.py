"""Reading stored bytes again, to find damage before somebody needs them.

    due ──read──► right: marked verified
              └─► wrong: marked damaged (quarantined), logged with every dataset that it touches
                          ──repair──► equal bytes from a second store, or from whoever sends them again: well

From the moment a content is marked nothing of it is served, on any way out, and its digest counts as unknown: so a
sender sends the bytes, and they take the place of the damaged ones. The wrong bytes stay until then.

The least recently read are read first. A scrub reads a bounded number of bytes in a run of the worker and takes only
what was not read for long; `entrepot verify` reads everything. Both may run at once, and be killed anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from entrepot.catalog import checking as rows
from entrepot.catalog import contents as content_rows
from entrepot.catalog import uploads as upload_rows
from entrepot.catalog import versions as version_rows
from entrepot.catalog.checking import Due, Totals
from entrepot.catalog.connection import Connection
from entrepot.catalog.contents import Extent
from entrepot.catalog.uploads import UploadRow
from entrepot.depot import entries, finishing
from entrepot.depot.context import Depot
from entrepot.depot.lookup import Key
from entrepot.model import ids
from entrepot.model.access import Action, Actor
from entrepot.model.digests import Digests, sha256_text
from entrepot.model.errors import Corrupt, NotFound
from entrepot.model.ids import Noun
from entrepot.model.values import Version
from entrepot.store.base import ObjectStore, boot_id
from entrepot.store.hashing import Hasher
from entrepot.store.verifying import READ_SIZE, LastOpened

log = structlog.get_logger(__name__)

#: Contents read from the catalogue at once, and marked in one transaction.
_PAGE = 200
#: What was read so much later than now was read under a clock that was wrong.
_WRONG = timedelta(days=1)
#: Bytes after which what was right is written down, so that a killed run does not begin anew.
_MARK = 1 << 30
#: Entries that are named for one damaged content.
PLACES = 100

Step = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a damaged content is to be seen.

    Args:
        project: Slug.
        version: Public id.
        reference: `project/dataset@version.revision/path`, or the version's id and path while it has no number.
    """

    project: str
    version: str
    reference: str


@dataclass(frozen=True, slots=True)
class Damage:
    """One content whose stored bytes are wrong.

    Args:
        sha256: What they should be.
        reason: What is wrong with them.
        places: Entries that have it, at most `PLACES`.
        is_mended: Whether the run that found it also mended it.
    """

    sha256: str
    size: int
    reason: str
    places: tuple[Place, ...]
    is_mended: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What one run read and found.

    Args:
        contents: How many were read, and their bytes.
        recovered: Contents that were marked damaged and are right again.
    """

    contents: int
    n_bytes: int
    damaged: tuple[Damage, ...]
    recovered: int


def totals(depot: Depot) -> Totals:
    """How the whole store is, as far as it was read."""
    with depot.catalog.read() as conn:
        return rows.totals(conn)


def missing(depot: Depot, half: int = 16) -> tuple[int, list[str]]:
    """How many objects were looked for, the oldest and the newest, and the keys of those that are not in the store.

    For who wants to know at once whether the store is the right one; `verify` looks at all of them.
    """
    with depot.catalog.read() as conn:
        sampled = rows.sample(conn, half)
    return len(sampled), [key for key, size in sampled if depot.store.stat(key) != size]


def of_version(depot: Depot, actor: Actor, key: Key, *, revision: int | None = None) -> tuple[Version, int, Totals]:
    """How the contents of one revision are, as far as they were read again; the newest if none is named."""
    with depot.catalog.read() as conn:
        found, wanted = entries.pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        return found.version, wanted, rows.totals_of(conn, found.version.n, wanted)


def count_damaged(depot: Depot) -> int:
    """How many contents are known to be damaged; cheap."""
    with depot.catalog.read() as conn:
        return rows.count_damaged(conn)


def verify(depot: Depot, step: Step | None = None, *, repair_from: ObjectStore | None = None) -> Checked:
    """Read everything that is here now.

    Args:
        step: Told contents and bytes after each content.
        repair_from: A store whose objects have the same keys, as a backup of this one has.
    """
    run = _Run(depot, step, repair_from)
    return run.read(before=run.at, most=None)


def scrub(depot: Depot, step: Step | None = None) -> Checked:
    """Read what was not read for `policy.scrub_every`, at most `policy.scrub_bytes` and the content that reaches it."""
    before = depot.now() - depot.policy.scrub_every
    return _Run(depot, step, None).read(before=before, most=depot.policy.scrub_bytes)


class _Run:
    def __init__(self, depot: Depot, step: Step | None, repair_from: ObjectStore | None) -> None:
        self._depot = depot
        self._step = step
        # When everything was read that this run reads: a clock that is set back meanwhile would make it due again.
        self.at = depot.now()
        self._second = repair_from
        self._right: list[int] = []
        self._unmarked = 0
        self._contents = 0
        self._bytes = 0
        self._recovered = 0
        self._damaged: list[Damage] = []

    def read(self, *, before: datetime, most: int | None) -> Checked:
        try:
            while most is None or self._bytes < most:
                with self._depot.catalog.read() as conn:
                    page = rows.due(conn, before=before, after=self.at + _WRONG, limit=_PAGE)
                    places = content_rows.extents_many(conn, [one.n for one in page])
                if not page:
                    break
                if most is None:
                    # All of them will be read, so as they lie: members of a pack came together, and are due together.
                    page.sort(key=lambda one: [(extent.key, extent.offset) for extent in places[one.n][:1]])
                with LastOpened(self._depot.store) as opened:
                    for one in page:
                        self._check(opened, one, places[one.n])
                        if most is not None and self._bytes >= most:
                            break
                self._mark()
        finally:
            self._mark()
        return Checked(self._contents, self._bytes, tuple(self._damaged), self._recovered)

    def _mark(self) -> None:
        right, self._right, self._unmarked = self._right, [], 0
        if right:
            self._depot.catalog.write(lambda conn: rows.mark_verified(conn, right, at=self.at))

    def _check(self, opened: LastOpened, one: Due, extents: list[Extent]) -> None:
        reason = difference(opened, extents, one.digests)
        if reason is not None:
            # Moved by compaction since the page was read, perhaps: only what is wrong where it lies now is damage.
            with self._depot.catalog.read() as conn:
                extents = content_rows.extents(conn, one.n)
            opened.close()
            reason = difference(opened, extents, one.digests)
        self._contents += 1
        self._bytes += one.digests.size
        self._unmarked += one.digests.size
        if reason is None:
            self._right.append(one.n)
            self._recovered += one.is_damaged
        else:
            self._found(one, extents, reason)
        if self._unmarked >= _MARK:
            self._mark()
        if self._step is not None:
            self._step(self._contents, self._bytes)

    def _found(self, one: Due, extents: list[Extent], reason: str) -> None:
        depot = self._depot
        if not depot.catalog.write(lambda conn: rows.mark_damaged(conn, one.n, extents, at=self.at)):
            # Collected, or mended, while it was read: what was read is nobody's any more.
            return
        with depot.catalog.read() as conn:
            places = tuple(_told(conn, place) for place in rows.places(conn, one.n, limit=PLACES))
        digest = sha256_text(one.digests.sha256)
        log.error("stored bytes are damaged", sha256=digest, reason=reason, seen_at=[p.reference for p in places[:10]])
        mended = self._second is not None and self._mend(one, extents, self._second)
        self._damaged.append(Damage(digest, one.digests.size, reason, places, mended))

    def _mend(self, one: Due, extents: Sequence[Extent], second: ObjectStore) -> bool:
        """Take the bytes from the second store, if they are right there."""
        with LastOpened(second) as opened:
            if difference(opened, extents, one.digests) is not None:
                return False
        depot = self._depot
        row = depot.catalog.write(partial(_insert_upload, depot=depot, due=one))
        stage = depot.staging.create(row.key)
        try:
            with LastOpened(second) as opened:
                for block in _blocks(opened, extents):
                    stage.write(block)
            # Compares once more: what was right when it was looked at must still be so when it is copied.
            finishing.settle_stage(depot, row, stage, None)
        finally:
            stage.release()
        log.info("damaged bytes were mended", sha256=sha256_text(one.digests.sha256), store=second.name)
        return True


def _insert_upload(conn: Connection, depot: Depot, due: Due) -> UploadRow:
    """An upload of nobody: its row knows the bytes before they are placed."""
    now = depot.now()
    return upload_rows.insert_upload(
        conn,
        uid=depot.new_uid(),
        owner=None,
        token=None,
        state=finishing.OPEN,
        key=depot.new_key(),
        boot_id=boot_id(),
        length=due.digests.size,
        sha256=due.digests.sha256,
        crc32c=None,
        file_name=None,
        media=None,
        project=None,
        purpose="repair",
        detail={},
        created_at=now,
        touched_at=now,
        expires_at=now + depot.policy.collection_grace,
    )


def _blocks(opened: LastOpened, extents: Sequence[Extent]) -> Iterator[bytes]:
    for extent in extents:
        reader = opened.open(extent.key)
        end = extent.offset + extent.length
        if end > reader.size:
            raise Corrupt(f"object {extent.key} has {reader.size} bytes and should have at least {end}")
        for offset in range(extent.offset, end, READ_SIZE):
            yield reader.read_at(offset, min(READ_SIZE, end - offset))


def difference(opened: LastOpened, extents: Sequence[Extent], expected: Digests) -> str | None:
    """What is wrong with the bytes that a store has of a content; None if nothing is.

    A store that cannot be reached proves nothing: its error passes through.
    """
    hasher = Hasher()
    try:
        for block in _blocks(opened, extents):
            hasher.update(block)
    except NotFound:
        return "an object is missing"
    except Corrupt as error:
        return error.message
    found = hasher.digests()
    if found == expected:
        return None
    if found.size != expected.size:
        return f"{found.size} bytes instead of {expected.size}"
    if found.sha256 != expected.sha256:
        return f"the bytes have {sha256_text(found.sha256)}"
    return "the SHA-256 is right, a recorded CRC is not"


def _told(conn: Connection, place: rows.Place) -> Place:
    found = version_rows.find(conn, asking=None, n=place.version)
    if found is None:
        return Place("", "", place.path)
    version = found.version
    name = ids.encode(Noun.VERSION, version.uid)
    if version.number is None:
        return Place(version.project_slug, name, f"{name}/{place.path}")
    at = f"{version.slug}@{version.number}.{place.revision}"
    return Place(version.project_slug, name, f"{version.project_slug}/{at}/{place.path}")
