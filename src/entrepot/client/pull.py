"""Making a folder hold what a revision holds: verified, restartable, and never at the cost of somebody's edits.

    ask       what is meant, and pin it: the whole pull is of one revision
    list      its entries, and the names they get on this system
    compare   with what is here: the same already, put here by an earlier pull, or somebody's own
    fetch     in parallel, small ones in batches, into files beside their places; each moves there when its digest fits
    tidy      files that an earlier pull put here and that the revision does not have any more go

A pull writes below its folder only, and through no link in it. A file that somebody edited stops the pull before it has
written anything, unless `force` is given.

With a lock file, `locked` pulls exactly the bytes that were locked: the lock's own list decides, not the server's,
every digest is compared, and any other file in the folder is a failure too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from entrepot.client import ignore, lockfile, pins
from entrepot.client.batches import SMALL, fetch_batch, grouped
from entrepot.client.cache import ContentCache
from entrepot.client.download import Wanted, fetch, forget_leftovers
from entrepot.client.folder import Folder, folds_case, local_names
from entrepot.client.listing import listed_pages
from entrepot.client.lockfile import LockedEntry, LockedPull, LockFile
from entrepot.client.parallel import Stop, each
from entrepot.client.pins import Pin, Thing
from entrepot.client.progress import OnProgress, Tally
from entrepot.client.pulled import PullRecord
from entrepot.client.reader import WHOLE
from entrepot.client.statcache import StatCache, stat_of
from entrepot.client.transfer import PARALLEL
from entrepot.client.transport import Transport, segment
from entrepot.client.tree import LocalFile, digest_file, scan
from entrepot.client.turns import Turns
from entrepot.model import names
from entrepot.model.digests import sha256_text
from entrepot.model.errors import Conflict, DigestMismatch, EntryNotFound, NotFound
from entrepot.wire.messages.entries import EntryDetail

__all__ = ["PullOptions", "Pulled", "pull", "pull_locked"]


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How to pull.

    Args:
        force: Replace files that somebody edited.
        keep: Leave files that an earlier pull put here and the revision does not have any more.
        verify: Read every file again, also those that look unchanged.
        windows_names: Give names that Windows could store too; by default only on Windows.
        durable: Have each file on the disk before it gets its name.
    """

    force: bool = False
    keep: bool = False
    verify: bool = False
    windows_names: bool | None = None
    durable: bool = False
    parallel: int = PARALLEL * 2


@dataclass(slots=True)
class Pulled:
    """What a pull did.

    Args:
        reference: As people write the pinned revision; of a locked pull what the lock says.
        renamed: Local name by entry path, of those that could not keep theirs on this system.
        entries: What the folder holds of the revision now, for a lock.
    """

    reference: str
    version: str
    revision: int
    into: Path
    fetched_files: int = 0
    fetched_bytes: int = 0
    total_files: int = 0
    total_bytes: int = 0
    removed: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    entries: tuple[LockedEntry, ...] = ()
    prefix: str | None = None


@dataclass(slots=True)
class _Wish:
    """What shall be here: entries by path, and where they come from."""

    version: str
    revision: int
    dataset: str
    entries: list[LockedEntry]
    #: What of the entry path the folder itself stands for.
    prefix: str | None = None


def pull(
    transport: Transport,
    thing: Thing,
    into: Path,
    options: PullOptions | None = None,
    *,
    stats: StatCache,
    cache: ContentCache | None = None,
    on_progress: OnProgress | None = None,
    tally: Tally | None = None,
    stop: Stop | None = None,
) -> Pulled:
    """Make the folder `into` hold what `thing` names: a version, a folder of it, or one file.

    Args:
        tally: Instead of `on_progress`, the counters themselves.
        stop: Ends it between two blocks, for another attempt to go on there.

    Raises:
        NotFound, EntryNotFound: There is no such version or path.
        Conflict: Files here were edited; `errors` names them all. Nothing was written.
        DigestMismatch: Bytes arrived that are not those of the listing.
    """
    tally = tally or Tally(on_progress)
    tally.begin("list")
    pin = pins.pin(transport, thing)
    wish = _Wish(pin.version, pin.revision, pin.record.dataset, *_listed(transport, pin, tally))
    done = Pulled(pin.reference, pin.version, pin.revision, into, prefix=wish.prefix)
    return _Pull(transport, into, options or PullOptions(), stats, cache, tally, stop).run(wish, done)


def pull_locked(
    transport: Transport,
    lock: LockedPull,
    into: Path,
    options: PullOptions | None = None,
    *,
    stats: StatCache,
    cache: ContentCache | None = None,
    on_progress: OnProgress | None = None,
) -> Pulled:
    """Make the folder hold exactly the locked bytes, and nothing else.

    Raises:
        DigestMismatch: The server has other bytes, or the folder holds files that the lock does not name.
        Conflict: Files here were edited.
    """
    wish = _Wish(lock.version, lock.revision, _dataset_of(transport, lock), list(lock.entries), lock.prefix)
    done = Pulled(lock.reference, lock.version, lock.revision, into, prefix=lock.prefix)
    work = _Pull(transport, into, options or PullOptions(), stats, cache, Tally(on_progress))
    work.run(wish, done)
    work.require_nothing_else(done)
    return done


def locked(done: Pulled, lock_file: Path, server: str) -> LockedPull:
    """The entry of a lock file for a pull that was made; the folder is named relative to the lock file.

    Raises:
        Conflict: The folder does not lie below the lock file's own.
    """
    base = lock_file.absolute().parent
    try:
        into = PurePosixPath(*done.into.absolute().relative_to(base).parts)
    except ValueError:
        raise Conflict(
            f"The lock file {str(lock_file)!r} can only lock folders below its own, and {str(done.into)!r} is not."
        ) from None
    return LockedPull(str(into), server, done.reference, done.version, done.revision, done.entries, done.prefix)


def lock(done: Pulled, lock_file: Path, server: str) -> LockFile:
    """Write the pull into the lock file, beside what other folders it locks."""
    known = LockFile.read(lock_file) if lock_file.exists() else LockFile()
    changed = known.with_pull(locked(done, lock_file, server))
    changed.write(lock_file)
    return changed


def _listed(transport: Transport, pin: Pin, tally: Tally) -> tuple[list[LockedEntry], str | None]:
    """The entries that are meant, and the folder they are relative to."""
    address = f"/versions/{segment(pin.version)}"
    if pin.path is not None:
        try:
            entry = transport.get(f"{address}/entry", EntryDetail, {"path": pin.path, "revision": pin.revision})
            folder = pin.path.rpartition("/")[0]
            return [LockedEntry(entry.path, entry.size, entry.sha256)], folder or None
        except EntryNotFound:
            pass
    prefix = None if pin.path is None else f"{pin.path}/"
    found: list[LockedEntry] = []
    for page in listed_pages(transport, pin.version, pin.revision, prefix=prefix):
        found += [LockedEntry(entry.path, entry.size, entry.sha256) for entry in page]
        tally.add(files=len(page))
    if pin.path is not None and not found:
        raise EntryNotFound(f"{pin.at(None).reference} has neither a file nor a folder {pin.path!r}.")
    return sorted(found), pin.path


def _dataset_of(transport: Transport, lock: LockedPull) -> str:
    """Whose earlier files may go. A version that cannot be asked any more still has its bytes checked one by one."""
    try:
        return pins.pin(transport, lock.version).record.dataset
    except NotFound as error:
        raise NotFound(
            f"The version that {lock.into!r} is locked to, {lock.reference}, is gone or hidden on this server."
        ) from error


class _Pull:
    def __init__(
        self,
        transport: Transport,
        into: Path,
        options: PullOptions,
        stats: StatCache,
        cache: ContentCache | None,
        tally: Tally,
        stop: Stop | None = None,
    ) -> None:
        self._transport = transport
        self._folder = Folder(into)
        self._options = options
        self._stats = stats
        self._cache = cache
        self._tally = tally
        self._stop = stop or Stop()

    def run(self, wish: _Wish, done: Pulled) -> Pulled:
        self._folder.root.mkdir(parents=True, exist_ok=True)
        relative = {entry.path: _within(entry.path, wish.prefix) for entry in wish.entries}
        local = local_names(
            relative.values(), windows=self._options.windows_names, folds_case=folds_case(self._folder.root)
        )
        places = {entry.path: local[relative[entry.path]] for entry in wish.entries}
        done.renamed = {path: name for path, name in places.items() if name != relative[path]}
        done.entries = tuple(wish.entries)
        done.total_files, done.total_bytes = len(wish.entries), sum(entry.size for entry in wish.entries)
        with PullRecord(self._folder.root) as record:
            missing, edited = self._compared(wish.entries, places, record)
            if edited and not self._options.force:
                raise _edited(edited, self._folder.root)
            stale = [] if self._options.keep else self._stale(record, wish.dataset, set(places.values()))
            self._fetch(wish, missing, places)
            done.fetched_files, done.fetched_bytes = len(missing), sum(entry.size for entry in missing)
            record.note(wish.dataset, ((places[entry.path], entry.sha256) for entry in wish.entries))
            for name in stale:
                self._folder.remove(name)
            record.forget(stale)
            done.removed = stale
        self._tally.end()
        return done

    # --- what is here -------------------------------------------------------------------------------------------------

    def _compared(
        self, entries: Sequence[LockedEntry], places: dict[str, str], record: PullRecord
    ) -> tuple[list[LockedEntry], list[str]]:
        """What has to be fetched, and which files in its way are somebody's own."""
        self._tally.begin("verify", bytes_total=sum(entry.size for entry in entries), files_total=len(entries))
        missing: list[LockedEntry] = []
        edited: list[str] = []
        if self._options.verify:
            self._stats.forget(self._folder.place(name) for name in places.values())

        def work(entry: LockedEntry) -> None:
            self._stop.check()
            name = places[entry.path]
            here = self._digest_here(name)
            if here != entry.sha256:
                missing.append(entry)
                if here is not None and here != record.digest(name):
                    edited.append(name)
            self._tally.add(skipped=entry.size, files=1, file_name=entry.path)

        # One thread: the record's connection is one, and most files are known by their times.
        each(work, entries, workers=1, stop=self._stop)
        return sorted(missing), sorted(edited)

    def _digest_here(self, name: str) -> str | None:
        """The digest of a local file; None where there is none."""
        if not self._folder.is_plain(name):
            return None
        place = self._folder.place(name)
        file = LocalFile(name, place, stat_of(place.stat()))
        return sha256_text(digest_file(file, self._stats))

    def _stale(self, record: PullRecord, dataset: str, wanted: set[str]) -> list[str]:
        """Files of earlier pulls of this dataset that are not wanted any more and that nobody touched."""
        return sorted(
            name
            for name, digest in record.of(dataset).items()
            if name not in wanted and self._digest_here(name) == digest
        )

    # --- fetching -----------------------------------------------------------------------------------------------------

    def _fetch(self, wish: _Wish, missing: Sequence[LockedEntry], places: dict[str, str]) -> None:
        total = sum(entry.size for entry in missing)
        self._tally.begin("download", bytes_total=total, files_total=len(missing))
        # Folders are made by one thread, so that two never make the same.
        targets = {entry.path: self._folder.prepare(places[entry.path]) for entry in missing}
        turns = Turns()

        def work(group: list[LockedEntry]) -> None:
            wanted = [Wanted(wish.version, wish.revision, one.path, one.size, one.sha256) for one in group]
            batch = [(one, targets[one.path]) for one in wanted]
            if self._cache is not None:
                with turns.one():
                    batch = [(one, target) for one, target in batch if not self._from_cache(one, target)]
            tally, stop, durable = self._tally, self._stop, self._options.durable
            if len(batch) == 1:
                fetch(self._transport, *batch[0], tally=tally, stop=stop, durable=durable)
            elif batch:
                fetch_batch(self._transport, batch, turns=turns, tally=tally, stop=stop, durable=durable)

        large = sorted((one for one in missing if one.size > SMALL), key=lambda one: one.size, reverse=True)
        # In the order of their paths: that is how they were sent, so how they lie there.
        small = [one for one in missing if one.size <= SMALL]
        jobs = [[one] for one in large] + list(grouped(small))
        each(work, jobs, workers=max(1, min(self._options.parallel, len(jobs))), stop=self._stop)
        forget_leftovers(targets.values())

    def _from_cache(self, wanted: Wanted, target: Path) -> bool:
        if self._cache is None or wanted.size > WHOLE:
            return False
        content = self._cache.get(wanted.sha256)
        if content is None:
            return False
        beside = target.with_name(f"{target.name[:200]}.{wanted.sha256[7:19]}.part")
        beside.write_bytes(content)
        beside.replace(target)
        self._tally.add(skipped=wanted.size, files=1, file_name=wanted.path)
        return True

    def require_nothing_else(self, done: Pulled) -> None:
        """
        Raises:
            DigestMismatch: The folder holds files that the lock does not name.
        """
        wanted = {done.renamed.get(entry.path, _within(entry.path, done.prefix)) for entry in done.entries}
        ours = (lockfile.FILE_NAME, ignore.FILE_NAME)
        others = [
            path for path in scan(self._folder.root).files if path not in wanted and path.rpartition("/")[2] not in ours
        ]
        if others:
            more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
            raise DigestMismatch(
                f"{str(self._folder.root)!r} holds {others[0]!r}{more}, which the lock does not name. Move such files "
                "away, or name them in .entrepotignore.",
                errors=[{"path": path} for path in others],
            )


def _within(path: str, prefix: str | None) -> str:
    checked = names.entry_path(path)
    return checked if prefix is None else checked.removeprefix(f"{prefix}/")


def _edited(paths: Iterable[str], root: Path) -> Conflict:
    found = list(paths)
    more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    return Conflict(
        f"{found[0]!r}{more} in {str(root)!r} was not put there by a pull and has other bytes. Push or move it, or "
        "pull with --force to replace it.",
        errors=[{"path": path} for path in found],
    )
