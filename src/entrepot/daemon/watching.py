"""Folders whose files become revisions by themselves, once they have settled.

Every second each watched folder is looked at, names, sizes and times only. A file that has not changed for as long as
the settling time is settled; when the settled files are not those of the last push, they are pushed: added or replaced,
as one revision, whatever is still being written beside them. Files that went here stay in the dataset: an instrument
computer is tidied, and that is no reason to lose what it measured. A frozen version gets a successor, as with every
push.

What cannot be stored, such as a name that is no UTF-8, is said in the list of what is watched and keeps nothing else
from being pushed. A folder that takes long to look at is looked at less often, so that a million files cost a tenth of
one processor and not all of it.

Looking rather than being told: notifications of the system do not exist for the network drives that instruments write
to, and one that is lost would be a file that is never sent.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.client.parallel import Stop, Stopped
from entrepot.client.statcache import FileStat
from entrepot.daemon import shapes
from entrepot.daemon.accounts import Accounts
from entrepot.daemon.errors import facts_of
from entrepot.daemon.journal import Journal, Watch
from entrepot.daemon.limiter import Limiter
from entrepot.model.errors import EntrepotError, Invalid, InvalidName

if TYPE_CHECKING:
    from entrepot.client.tree import LocalFile, LocalTree

__all__ = ["Watcher"]

log = logging.getLogger(__name__)

SETTLE_S = 10.0
_LOOK_S = 1.0
#: For how many times as long as a look took nobody looks again.
_REST = 9.0
_FIRST_WAIT_S = 2.0
_LONGEST_WAIT_S = 300.0


@dataclass(slots=True)
class _Seen:
    """What each file of a folder looked like, since when; and when to try again after a failure."""

    files: dict[str, tuple[FileStat, float]] = field(default_factory=dict)
    failures: int = 0
    retry_at: float = 0.0
    look_at: float = 0.0
    refused: str | None = None

    def settled(self, found: Mapping[str, LocalFile], now: float, settle_s: float) -> dict[str, FileStat]:
        """The files that have not changed for as long as they should, by path."""
        self.files = {
            path: self.files[path] if path in self.files and self.files[path][0] == file.stat else (file.stat, now)
            for path, file in found.items()
        }
        return {path: stat for path, (stat, since) in self.files.items() if now - since >= settle_s}


class Watcher:
    """All watched folders of a daemon; one thread looks at them, one after the other is pushed."""

    def __init__(
        self,
        journal: Journal,
        accounts: Accounts,
        limiter: Limiter,
        *,
        clock: Callable[[], float] = time.monotonic,
        push: Callable[[Watch, Mapping[str, FileStat], Stop], None] | None = None,
    ) -> None:
        self._journal = journal
        self._accounts = accounts
        self._limiter = limiter
        self._clock = clock
        self._push = push or self._pushed
        self._seen: dict[str, _Seen] = {}
        self._wake = threading.Event()
        self._stop = Stop()

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    @property
    def busy(self) -> bool:
        """A daemon with something to watch does not end by itself."""
        return bool(self._journal.watches())

    def add(self, folder: Path, target: str, settle_s: float | None) -> dict[str, Any]:
        """Watch a folder from now on, across restarts. The same folder again changes where it goes.

        Raises:
            Invalid: It is no folder, or the target is no `project/dataset`.
            Unauthenticated: Nobody is logged in.
        """
        from entrepot.model.references import parse_reference

        if not os.path.isdir(folder):  # noqa: PTH112  a Path raises where one may not look
            raise Invalid(f"{str(folder)!r} is not a folder.")
        try:
            str(folder).encode()
        except UnicodeEncodeError:
            raise Invalid(f"The name of {str(folder)!r} is not UTF-8. Watch a folder with another name.") from None
        wanted = parse_reference(target)
        if wanted.revision is not None:
            raise Invalid(
                f"{target!r} names a revision, and revisions never change. Name {wanted.project}/{wanted.dataset}."
            )
        settle = SETTLE_S if settle_s is None else settle_s
        if not 0 <= settle <= 86_400:
            raise Invalid(f"settle_s is a number of seconds up to a day, not {settle:g}.")
        watch = Watch(f"watch_{os.urandom(16).hex()}", str(folder), target, self._accounts.server(), settle)
        kept = self._journal.put_watch(watch)
        self._seen.pop(kept.id, None)
        self._wake.set()
        return _shown(kept)

    def remove(self, identity: str) -> dict[str, Any]:
        gone = self._journal.drop_watch(identity)
        self._seen.pop(gone.id, None)
        return _shown(gone)

    def shown(self) -> list[dict[str, Any]]:
        return [_shown(one) for one in self._journal.watches()]

    def _run(self) -> None:
        while not self._stop.is_set():
            watches: list[Watch] = []
            try:
                watches = self._journal.watches()
                for watch in watches:
                    if self._clock() >= self._seen.setdefault(watch.id, _Seen()).look_at:
                        self.look(watch)
            except Exception:
                # Nobody sits beside it at night: whatever it was, the next look is in a second.
                log.exception("a look at the watched folders")
            self._wake.wait(_LOOK_S if watches else None)
            self._wake.clear()

    def look(self, watch: Watch) -> bool:
        """Look at one folder, and push it if it is time; whether it was pushed."""
        seen = self._seen.setdefault(watch.id, _Seen())
        try:
            return self._looked(watch, seen)
        except Stopped:
            return False
        except Exception as error:
            if not isinstance(error, EntrepotError | OSError):
                log.exception("%s", watch.folder)
            seen.failures += 1
            seen.retry_at = self._clock() + min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(seen.failures, 10))
            self._note(
                watch, error if isinstance(error, EntrepotError) else Invalid(f"{type(error).__name__}: {error}.")
            )
            return False

    def _looked(self, watch: Watch, seen: _Seen) -> bool:
        from entrepot.client.tree import scan

        now = self._clock()
        found = scan(Path(watch.folder))
        settled = seen.settled(found.files, now, watch.settle_s)
        fingerprint = fingerprint_of(settled)
        seen.look_at = self._clock() + _REST * (self._clock() - now)
        if now < seen.retry_at:
            return False
        trouble = _unstorable(found)
        # Of a file that goes while the folder is looked at it is said only that it cannot be read: once is nothing.
        seen.refused, before = None if trouble is None else trouble.message, seen.refused
        if seen.refused != before:
            trouble = None
        if fingerprint == watch.pushed or not settled:
            self._note(watch, trouble)
            return False
        self._push(watch, settled, self._stop)
        seen.failures = 0
        # What changed while it was pushed shows in the next look: the fingerprint is that of before.
        told = None if trouble is None else facts_of(trouble)
        if any(one.id == watch.id for one in self._journal.watches()):
            self._journal.put_watch(replace(watch, pushed=fingerprint, pushed_at=time.time(), error=told))
        log.info("%s was pushed to %s", watch.folder, watch.target)
        return True

    def _note(self, watch: Watch, error: EntrepotError | None) -> None:
        """Keep what is the matter with a folder, or that nothing is any more."""
        told = None if error is None else facts_of(error)
        if (watch.error or {}).get("message") != (told or {}).get("message"):
            if error is not None:
                log.warning("%s: %s", watch.folder, error.message)
            if any(one.id == watch.id for one in self._journal.watches()):
                self._journal.put_watch(replace(watch, error=told))

    def _pushed(self, watch: Watch, settled: Mapping[str, FileStat], stop: Stop) -> None:
        from entrepot.client.journal import Journal as SentLog
        from entrepot.client.push import PushOptions, push
        from entrepot.client.statcache import StatCache
        from entrepot.daemon.counter import Counter

        client = self._accounts.client(watch.server)
        counter = Counter(watch.id, watch.folder, chunk=64 << 20, tell=lambda _: None, limiter=self._limiter, stop=stop)
        with SentLog() as sent, StatCache() as stats:
            options = PushOptions(keep=True, message="settled", only=lambda file: settled.get(file.path) == file.stat)
            push(
                client.transport,
                Path(watch.folder),
                watch.target,
                options,
                journal=sent,
                stats=stats,
                tally=counter,
                stop=stop,
            )


def _unstorable(found: LocalTree) -> InvalidName | None:
    if not found.refused:
        return None
    first = found.refused[0]
    more = f" There are {len(found.refused) - 1:,} more." if len(found.refused) > 1 else ""
    return InvalidName(f"{first.path!r} is not pushed: {first.reason}{more} Everything else is.")


def fingerprint_of(files: Mapping[str, FileStat]) -> str:
    """Names, sizes and times as one text."""
    digest = hashlib.sha256()
    for path, stat in sorted(files.items()):
        digest.update(f"{path}\0{stat.size}\0{stat.mtime_ns}\0{stat.inode}\n".encode())
    return digest.hexdigest()


def _shown(watch: Watch) -> dict[str, Any]:
    return {
        "watch_id": watch.id,
        "folder": watch.folder,
        "to": watch.target,
        "settle_s": watch.settle_s,
        "pushed_at": None if watch.pushed_at is None else shapes.when(datetime.fromtimestamp(watch.pushed_at, UTC)),
        "error": None if watch.error is None else watch.error["message"],
    }
