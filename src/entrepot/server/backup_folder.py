"""Backups in a folder: the facts of a moment, and every object that they need.

    FOLDER/
      objects/                      a store like the server's own: the same keys, shared by all backups in the folder
      catalogs/NAME.sqlite          the facts of one backup, NAME being its moment
      catalogs/NAME.json            says that this backup is whole; written last
      secret.key, entrepot.toml     as they were at the newest backup
      suspects.json                 keys of objects that a check found damaged here, until a backup looked after them
      backup.lock                   held while somebody writes

An object never changes and its key is never used twice, so a later backup copies only the objects that are new. The
facts are taken first and the objects that they name after them, compared with their digests as they are read. An object
that was collected in between is missed; the facts are then taken again, which know nothing of it any more.

A backup that is killed leaves objects that the next one finds, and no NAME.json. Nobody who writes to the server waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from entrepot.catalog import contents, snapshots
from entrepot.catalog.bulk import chunks
from entrepot.catalog.connection import Connection
from entrepot.catalog.database import Catalog
from entrepot.catalog.snapshots import Stored
from entrepot.depot.checking import difference
from entrepot.depot.context import Clock, Depot
from entrepot.model.errors import AlreadyRunning, Corrupt, Invalid, NotFound, Unavailable, Unsupported
from entrepot.store.base import ObjectReader, ObjectStore
from entrepot.store.verifying import LastOpened, blocks_of, verified

__all__ = [
    "Backup",
    "Done",
    "Lost",
    "Tally",
    "alone",
    "back_up",
    "choose",
    "fault",
    "listed",
    "opened",
    "put_back_objects",
    "snapshot_file",
    "tell",
    "write_whole",
]

CATALOGS, LOCK, SUSPECTS = "catalogs", "backup.lock", "suspects.json"
#: How the folder is laid out; a greater one was written by a newer program.
FORMAT = 1
#: How often the facts are taken anew because objects were collected meanwhile.
_PASSES = 5
#: Parts of objects that are asked about together.
_PARTS = 500
#: Lost objects that are named in a report.
_NAMED = 1000

Step = Callable[[int, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Lost:
    """An object that the facts need and whose bytes are missing or wrong."""

    key: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup of a folder, whole.

    Args:
        name: Its moment in UTC, such as `20260131T235900.123456Z`.
        entrepot: The version of the program that made it.
        catalog_sha256: Hexadecimal; of the file with the facts.
        objects: How many the facts name, with their bytes.
        lost: Those that are not in the backup because the server has no good bytes of them, at most 1000.
    """

    name: str
    at: datetime
    entrepot: str
    catalog_sha256: str
    catalog_bytes: int
    objects: int
    n_bytes: int
    lost: tuple[Lost, ...]
    lost_count: int


@dataclass(frozen=True, slots=True)
class Done:
    """What a run did: objects copied, and old backups and objects removed."""

    backup: Backup
    copied: int
    copied_bytes: int
    removed: tuple[str, ...]
    freed: int
    freed_bytes: int


@dataclass(slots=True)
class Tally:
    objects: int = 0
    n_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    lost: list[Lost] = field(default_factory=list)
    lost_count: int = 0

    def lose(self, key: str, size: int, reason: str) -> None:
        self.lost_count += 1
        if len(self.lost) < _NAMED:
            self.lost.append(Lost(key, size, reason))


class _Stale(Exception):
    """An object of the facts was collected since they were taken."""


def back_up(
    depot: Depot, folder: Path, target: ObjectStore, *, program: str, keep: int | None = None, step: Step | None = None
) -> Done:
    """Make a backup. The server may be running, and anybody may go on writing.

    Args:
        target: The store in `folder`.
        program: Version of this program.
        keep: How many backups stay in the folder, this one included; None keeps all.
        step: Told objects and bytes so far, and objects and bytes there are.

    Raises:
        AlreadyRunning: Somebody else writes to this folder.
        Unsupported: A newer program wrote to it.
        DiskFull, Unavailable: Nothing is lost; what was copied is found by the next run.
    """
    catalogs = folder / CATALOGS
    catalogs.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(folder):
        before = listed(folder)
        is_suspect = _suspects(folder, before)
        for leftover in catalogs.glob("*.part*"):
            leftover.unlink()
        for _ in range(_PASSES):
            at = depot.now()
            name = _name(at)
            draft = catalogs / f"{name}.sqlite.part"
            snapshots.take(depot.catalog, draft)
            try:
                tally = _copy_objects(depot, draft, target, is_suspect, step)
            except _Stale:
                draft.unlink()
                continue
            break
        else:
            raise Unavailable("Objects were collected again and again while they were to be copied. Try again later.")
        backup = Backup(
            name=name,
            at=at,
            entrepot=program,
            catalog_sha256=_sha256(draft),
            catalog_bytes=draft.stat().st_size,
            objects=tally.objects,
            n_bytes=tally.n_bytes,
            lost=tuple(tally.lost),
            lost_count=tally.lost_count,
        )
        draft.rename(catalogs / f"{name}.sqlite")
        write_whole(catalogs / f"{name}.json", _manifest(backup))
        (folder / SUSPECTS).unlink(missing_ok=True)
        removed, freed, freed_bytes = _prune(depot, folder, target, keep)
    return Done(backup, tally.copied, tally.copied_bytes, removed, freed, freed_bytes)


def listed(folder: Path) -> list[Backup]:
    """The whole backups of a folder, the oldest first.

    Raises:
        Unsupported: A newer program wrote one.
        Corrupt: What says that one is whole cannot be read.
    """
    return [_read_manifest(path) for path in sorted((folder / CATALOGS).glob("*.json"))]


def choose(folder: Path, name: str | None) -> Backup:
    """The newest backup, or the one whose name begins so.

    Raises:
        NotFound: There is none.
        Invalid: Several begin so.
    """
    there = listed(folder)
    found = there[-1:] if name is None else [one for one in there if one.name.startswith(name)]
    if not found:
        what = "no whole backup" if name is None else f"no backup {name}"
        raise NotFound(f"There is {what} in {folder}. There are {', '.join(one.name for one in there) or 'none'}.")
    if len(found) > 1:
        raise Invalid(f"{name} is the beginning of {len(found)} backups: {', '.join(one.name for one in found)}.")
    return found[0]


def snapshot_file(folder: Path, backup: Backup) -> Path:
    """The file with the facts of a backup, compared with what was written down of it.

    Raises:
        Corrupt: It is missing or damaged.
    """
    path = folder / CATALOGS / f"{backup.name}.sqlite"
    if not path.is_file():
        raise Corrupt(f"The backup {backup.name} lacks its catalogue {path.name}. Choose another with --at.")
    if _sha256(path) != backup.catalog_sha256:
        raise Corrupt(f"The catalogue {path} of this backup is damaged. Choose another with --at.")
    return path


def put_back_objects(snapshot: Catalog, source: ObjectStore, target: ObjectStore, step: Step | None) -> list[Lost]:
    """Copy every object that a snapshot names to a store; those that are there already are left alone.

    Every object is compared with its digest on the way, and none that is wrong arrives.

    Returns:
        What is missing or damaged in the source.
    """
    tally = Tally()
    with snapshot.read() as conn:
        totals = snapshots.totals(conn)
        parts: set[int] = set()
        for page in snapshots.objects(conn):
            for one in page:
                _copy(source, target, one, tally, parts)
                tell(step, tally, totals)
        _check_parts(conn, target, parts, tally)
    return tally.lost


def fault(store: ObjectStore, one: Stored) -> str | None:
    """What is wrong with an object, as far as itself tells: one of several contents has no digest of its own."""
    try:
        with store.open(one.key) as reader:
            for _ in _blocks(reader, one):
                pass
    except NotFound:
        return "the object is missing"
    except Corrupt as error:
        return error.message
    return None


def _suspects(folder: Path, before: list[Backup]) -> Callable[[str], bool]:
    """Which objects of a folder are looked at again, because the last backup or a check found something wrong there."""
    try:
        found = set(json.loads((folder / SUSPECTS).read_bytes()))
    except (FileNotFoundError, ValueError):
        found = set()
    if before and before[-1].lost_count > len(before[-1].lost):
        return lambda _key: True
    return frozenset(found | {one.key for one in before[-1].lost} if before else found).__contains__


def _copy_objects(
    depot: Depot, draft: Path, target: ObjectStore, is_suspect: Callable[[str], bool], step: Step | None
) -> Tally:
    tally = Tally()
    with opened(draft, depot.clock) as snapshot, snapshot.read() as conn:
        totals = snapshots.totals(conn)
        parts: set[int] = set()
        for page in snapshots.objects(conn):
            for one in page:
                lost_before = tally.lost_count
                _copy(depot.store, target, one, tally, parts, is_suspect)
                if tally.lost_count > lost_before and not _is_there(depot, one):
                    raise _Stale
                tell(step, tally, totals)
        _check_parts(conn, target, parts, tally)
    return tally


def _copy(
    source: ObjectStore,
    target: ObjectStore,
    one: Stored,
    tally: Tally,
    parts: set[int],
    is_suspect: Callable[[str], bool] = lambda _key: False,
) -> None:
    tally.objects += 1
    tally.n_bytes += one.size
    size = target.stat(one.key)
    if size == one.size and not is_suspect(one.key):
        return
    if size is not None:
        # A part of a file on a medium that lost the rest, or a pack with a damaged part, which may be mended by now.
        # But if the server has nothing better, what is left here may be the only copy of its other parts.
        reason = fault(source, one)
        if reason is not None:
            tally.lose(one.key, one.size, reason)
            return
        target.delete(one.key)
    try:
        with source.open(one.key) as reader:
            target.put(one.key, _blocks(reader, one))
    except NotFound:
        tally.lose(one.key, one.size, "the object is missing")
        return
    except Corrupt as error:
        tally.lose(one.key, one.size, error.message)
        return
    if one.digests is None:
        parts.update(one.contents)
    tally.copied += 1
    tally.copied_bytes += one.size


def _blocks(reader: ObjectReader, one: Stored) -> Iterator[bytes]:
    if reader.size != one.size:
        raise Corrupt(f"The object {one.key} has {reader.size} bytes instead of {one.size}.")
    blocks = blocks_of(reader)
    return blocks if one.digests is None else verified(blocks, one.digests, f"object {one.key}")


def _check_parts(conn: Connection, target: ObjectStore, parts: set[int], tally: Tally) -> None:
    """Contents that lie in several objects, or share one, have no digest of an object to compare with.

    An object with a damaged part stays: the other parts may be the only copy.
    """
    for some in chunks(sorted(parts), _PARTS):
        places, digests = contents.extents_many(conn, some), snapshots.digests_of(conn, some)
        with LastOpened(target) as opened:
            for n in some:
                reason = difference(opened, places[n], digests[n])
                if reason is not None:
                    for extent in places[n]:
                        tally.lose(extent.key, extent.length, reason)


def _is_there(depot: Depot, one: Stored) -> bool:
    with depot.catalog.read() as conn:
        return contents.object_placed(conn, one.store, one.key)


def _prune(depot: Depot, folder: Path, target: ObjectStore, keep: int | None) -> tuple[tuple[str, ...], int, int]:
    """Remove all but the newest backups, then the objects that no backup names any more."""
    there = listed(folder)
    old = there[: max(len(there) - keep, 0)] if keep is not None else []
    if not old:
        return (), 0, 0
    for backup in old:
        # First what says that it is whole.
        (folder / CATALOGS / f"{backup.name}.json").unlink()
        (folder / CATALOGS / f"{backup.name}.sqlite").unlink(missing_ok=True)
    freed = freed_bytes = 0
    by_prefix: dict[str, list[str]] = {}
    for key in target.keys():  # noqa: SIM118 - a store is no dict
        by_prefix.setdefault(key[:2], []).append(key)
    kept = [folder / CATALOGS / f"{one.name}.sqlite" for one in there[len(old) :]]
    for prefix, keys in sorted(by_prefix.items()):
        used: set[str] = set()
        for path in kept:
            with opened(path, depot.clock) as snapshot, snapshot.read() as conn:
                used |= snapshots.present_keys(conn, prefix)
        for key in keys:
            if key not in used:
                freed_bytes += target.stat(key) or 0
                target.delete(key)
                freed += 1
    return tuple(one.name for one in old), freed, freed_bytes


@contextmanager
def opened(path: Path, clock: Clock) -> Iterator[Catalog]:
    # The locks of writers, of which there are none, need not lie on a medium that may be slow or read-only.
    with (
        tempfile.TemporaryDirectory() as locks,
        closing(Catalog.open(path, clock=clock, gate_dir=Path(locks))) as catalog,
    ):
        yield catalog


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Another process is making a backup in {folder}. Wait for it.") from None
        yield
    finally:
        os.close(descriptor)


def tell(step: Step | None, tally: Tally, totals: tuple[int, int]) -> None:
    if step is not None:
        step(tally.objects, tally.n_bytes, *totals)


def _name(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest(backup: Backup) -> bytes:
    said = {"format": FORMAT, **asdict(backup), "at": backup.at.isoformat()}
    return json.dumps(said, indent=2).encode() + b"\n"


def _read_manifest(path: Path) -> Backup:
    try:
        said: dict[str, Any] = json.loads(path.read_bytes())
        if said.pop("format") > FORMAT:
            raise Unsupported(f"{path} was written by a newer Entrepot ({said.get('entrepot')}). Install that version.")
        lost = tuple(Lost(**one) for one in said.pop("lost"))
        return Backup(**{**said, "at": datetime.fromisoformat(said["at"]), "lost": lost})
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{path} cannot be read: {error}. Remove it if there are other backups.") from error


def write_whole(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
