"""Files of this computer on their way out: what the server has not is found out and sent.

    digest  what the stat cache is certain of costs nothing; large files are hashed, two at a time
    send    large contents, of which the server was asked before; and small files of which nobody knows anything yet:
            read once, hashed, asked about and sent, a batch while the next one is read

A small file is on its way in the state that it was read in, whatever becomes of it later. In memory are as many batches
as there are senders.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from entrepot.client.batches import grouped
from entrepot.client.parallel import Stop, each
from entrepot.client.progress import Tally
from entrepot.client.sources import BytesSource, FileSource, Source
from entrepot.client.statcache import StatCache
from entrepot.client.transfer import Sender
from entrepot.client.transport import Transport
from entrepot.client.tree import ATTEMPTS, SMALL, LocalFile, again, digest_file, read_small
from entrepot.client.turns import Turns
from entrepot.model.digests import parse_sha256, sha256_text
from entrepot.model.errors import SourceChanged
from entrepot.wire.messages.entries import Known, KnownRequest

__all__ = ["Outgoing"]

#: Digests of one question.
_ASK = 5000
#: Small files of one turn, and how many are read at once where that helps.
_HANDFUL = 50
_READERS = 8

T = TypeVar("T")


class Outgoing:
    """The files of one push. For one use.

    Args:
        have: Digests (`sha256:<hex>`) that need neither be sent nor asked for.
        asks: Whether the server is asked what it has. For one small file the answer would cost what sending it costs.
        turns: Those of whoever reads small files.
    """

    def __init__(
        self,
        transport: Transport,
        stats: StatCache,
        *,
        have: Collection[str] = (),
        asks: bool = True,
        tally: Tally,
        stop: Stop,
        turns: Turns | None = None,
    ) -> None:
        self._transport = transport
        self._stats = stats
        self._have = have
        self._asks = asks
        self._tally = tally
        self._stop = stop
        self._turns = turns or Turns()
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._fresh: list[LocalFile] = []
        self.files: dict[str, LocalFile] = {}
        """By path, in the states that they were hashed in."""
        self.digests: dict[str, str] = {}
        """By path, `sha256:<hex>`."""
        self.uploads: dict[bytes, str] = {}
        """By SHA-256: the uploads of what was sent, each that of one file or of a batch."""
        self.sent_files = self.sent_bytes = 0
        """Contents that the server did not have, each counted once."""

    # --- what is known ------------------------------------------------------------------------------------------------

    def digest(self, files: Iterable[LocalFile]) -> None:
        """Find out the digests of all files but those small ones that have to be read.

        Raises:
            SourceChanged: One did not hold still.
        """
        large: list[LocalFile] = []
        for some in _handfuls(files, _ASK):
            known = self._stats.known_of([(file.place, file.stat) for file in some])
            for file, digest in zip(some, known, strict=True):
                if digest is not None:
                    self._is(file, digest)
                else:
                    (self._fresh if file.size <= SMALL else large).append(file)
        if not large:
            return
        self._tally.begin("hash", bytes_total=sum(file.size for file in large), files_total=len(large))
        each(self._digest_large, large, workers=2, stop=self._stop)
        self._tally.end()

    def _is(self, file: LocalFile, digest: bytes) -> None:
        self.files[file.path] = file
        self.digests[file.path] = sha256_text(digest)

    def _digest_large(self, file: LocalFile) -> None:
        read = 0

        def count(size: int) -> None:
            nonlocal read
            self._stop.check()
            read += size
            self._tally.add(size, file_name=file.path)

        def attempt(file: LocalFile) -> bytes:
            nonlocal read
            self._tally.add(-read)
            read = 0
            return digest_file(file, self._stats, count)

        settled, digest = _settled(file, attempt)
        self._tally.add(skipped=file.size - read, files=1)
        self._is(settled, digest)

    # --- out ----------------------------------------------------------------------------------------------------------

    def survey(self) -> None:
        """Find out what `send` would send, without sending anything."""
        self._count(self._unknown(self._known_sources()))
        self._tally.begin("hash", bytes_total=sum(file.size for file in self._fresh), files_total=len(self._fresh))
        for batch in grouped(self._read_new()):
            self._count(self._unknown(batch))
            self._tally.add(sum(source.size for source in batch), files=len(batch), file_name=batch[-1].name)
        self._tally.end()

    def send(self, sender: Sender, *, parallel: int) -> None:
        """Send what the server does not have.

        Raises:
            SourceChanged: A file did not hold still.
            EntrepotError: The first failure; what was complete by then stays in the journal.
        """
        sources = self._unknown(self._known_sources())
        self._count(sources)
        files = len(sources) + len(self._fresh)
        if not files:
            return
        size = sum(source.size for source in sources) + sum(file.size for file in self._fresh)
        self._tally.begin("upload", bytes_total=size, files_total=files)

        senders = max(1, min(parallel, files))

        def jobs() -> Iterator[Callable[[], None]]:
            yield from sender.jobs(sources, self.uploads, senders=senders)
            # Read by whoever takes the next job, which is one thread at a time.
            for batch in grouped(self._read_new(), senders=senders):
                yield partial(self._send_batch, sender, batch)

        each(lambda job: job(), jobs(), workers=senders, stop=self._stop)
        self._tally.end()

    def _send_batch(self, sender: Sender, batch: Sequence[Source]) -> None:
        wanted = self._unknown(batch)
        self._count(wanted)
        if len(wanted) < len(batch):
            size = sum(source.size for source in batch) - sum(source.size for source in wanted)
            self._tally.add(skipped=size, files=len(batch) - len(wanted))
        for job in sender.jobs(wanted, self.uploads):
            job()

    def _count(self, sources: Sequence[Source]) -> None:
        with self._lock:
            self.sent_files += len(sources)
            self.sent_bytes += sum(source.size for source in sources)

    def _known_sources(self) -> list[Source]:
        """What is to be sent, as far as its digest is known, each content once."""
        found: list[Source] = []
        for path, digest in self.digests.items():
            if self._is_new(digest):
                found.append(FileSource(self.files[path], parse_sha256(digest)))
        return found

    def _is_new(self, digest: str) -> bool:
        if digest in self._have or digest in self._seen:
            return False
        self._seen.add(digest)
        return True

    def _unknown(self, sources: Sequence[Source]) -> list[Source]:
        """Those that the server may not take from what the caller can read there already."""
        if not self._asks:
            return list(sources)
        wanted = {sha256_text(source.sha256): source for source in sources}
        for asked in _handfuls(list(wanted), _ASK):
            question = KnownRequest(sha256=asked)
            for known in self._transport.post("/contents/known", Known, question, keyed=False, repeatable=True).known:
                wanted.pop(known, None)
        return list(wanted.values())

    # --- small files --------------------------------------------------------------------------------------------------

    def _read_new(self) -> Iterator[Source]:
        """What small files hold that is new."""
        for some in _handfuls(self._fresh, _HANDFUL):
            for source in self._read(some):
                if self._is_new(sha256_text(source.sha256)):
                    yield source
                else:
                    self._tally.add(skipped=source.size, files=1)

    def _read(self, files: Sequence[LocalFile]) -> list[BytesSource]:
        if self._turns.several:
            with ThreadPoolExecutor(_READERS, thread_name_prefix="entrepot-read") as pool:
                return list(pool.map(self._read_one, files))
        with self._turns.one():
            return [self._read_one(file) for file in files]

    def _read_one(self, file: LocalFile) -> BytesSource:
        self._stop.check()
        started = self._stats.now()
        settled, content = _settled(file, _whole)
        sha256 = hashlib.sha256(content).digest()
        self._stats.remember(settled.place, settled.stat, sha256, started)
        self._is(settled, sha256)
        return BytesSource(file.path, content, sha256)


def _whole(file: LocalFile) -> bytes:
    if file.size > SMALL:
        # It grew. Looked at anew, it is one of the large ones.
        raise SourceChanged(f"The file {file.path!r} grew while it was looked at. Run the command again.")
    return read_small(file)


def _settled(file: LocalFile, read: Callable[[LocalFile], T]) -> tuple[LocalFile, T]:
    """What `read` makes of a file; one that moves while it is read is looked at again a few times.

    Raises:
        SourceChanged: It did not hold still.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return file, read(file)
        except SourceChanged:
            file = again(file)
    return file, read(file)


def _handfuls(items: Iterable[T], size: int) -> Iterator[list[T]]:
    some: list[T] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
