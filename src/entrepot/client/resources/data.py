"""Bytes, in every way one may have or want them: files, folders, bytes in memory, file objects, archives."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from entrepot.client import lockfile, pins
from entrepot.client import pull as pulling
from entrepot.client import unpack as unpacking
from entrepot.client.download import Wanted
from entrepot.client.journal import Journal
from entrepot.client.lockfile import LockFile
from entrepot.client.parallel import Stop
from entrepot.client.pins import Pin, Thing
from entrepot.client.progress import OnProgress, Tally
from entrepot.client.pull import Pulled, PullOptions
from entrepot.client.push import Pushed, PushOptions, push
from entrepot.client.reader import WHOLE, EntryReader, read_range, whole
from entrepot.client.resources.base import Resource
from entrepot.client.resources.versions import NewVersionFields
from entrepot.client.statcache import StatCache, stat_of
from entrepot.client.transfer import BytesSource, FileSource, Sender, Source
from entrepot.client.transport import segment
from entrepot.client.tree import LocalFile, digest_file
from entrepot.model import names
from entrepot.model.errors import Invalid, NotFound, TooLarge, Unsupported
from entrepot.model.values import Kind, TaskState
from entrepot.wire.messages.entries import Add, Committed, Entry, EntryDetail, EntryPage, NewCommit
from entrepot.wire.messages.slots import NewSlot
from entrepot.wire.messages.tasks import Task
from entrepot.wire.messages.versions import NewVersion, Version, VersionWithSlots

__all__ = ["Data"]

#: What `read_bytes` takes into memory unless told otherwise.
_MAX_BYTES = 1 << 30
_ARCHIVES = {"zip": "application/zip", "tar": "application/x-tar", "tar.gz": "application/gzip"}


class Data(Resource):
    """Transfer. Every method checks digests; long ones are restartable and tell their progress."""

    # --- folders ------------------------------------------------------------------------------------------------------

    def push(
        self,
        source: str | Path,
        target: Thing,
        *,
        message: str = "",
        keep: bool = False,
        name: str | None = None,
        description: str = "",
        follow_links: bool = False,
        dry_run: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Pushed:
        """Make a version hold what a folder holds, as one revision; only what the server lacks is sent.

        Args:
            source: A folder, or one file (which is added and leaves the others).
            target: `project/dataset`, made if it is not there yet; or `project/dataset/folder` for a part of it.
            keep: Leave files that only the version has.
            dry_run: Say what would be done and do nothing.
        """
        options = PushOptions(
            message=message,
            keep=keep,
            name=name,
            description=description,
            follow_links=follow_links,
            dry_run=dry_run,
        )
        with Journal() as journal, StatCache() as stats:
            return push(
                self._transport,
                Path(source),
                target,
                options,
                journal=journal,
                stats=stats,
                on_progress=on_progress,
            )

    def download(
        self,
        thing: Thing,
        into: str | Path,
        *,
        force: bool = False,
        keep: bool = False,
        verify: bool = False,
        lock: str | Path | None = None,
        on_progress: OnProgress | None = None,
    ) -> Pulled:
        """Make a folder hold what a version, a folder of it, or one file of it holds.

        Args:
            force: Replace files that were edited here.
            keep: Leave files that an earlier download put here and the revision does not have any more.
            verify: Read every file again.
            lock: A lock file to write, so that `download_locked` can bring exactly these bytes again.
        """
        options = PullOptions(force=force, keep=keep, verify=verify)
        with StatCache() as stats:
            done = pulling.pull(
                self._transport,
                thing,
                Path(into),
                options,
                stats=stats,
                cache=self._client.cache,
                on_progress=on_progress,
            )
        if lock is not None:
            pulling.lock(done, Path(lock), self._transport.url)
        return done

    def download_locked(
        self,
        lock: str | Path = lockfile.FILE_NAME,
        *,
        into: str | None = None,
        force: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Pulled]:
        """Bring exactly the locked bytes, or fail.

        Args:
            into: Only this folder of the lock file, as it is written there; all of them if None.

        Raises:
            DigestMismatch: The bytes cannot be had, or a folder holds other files too.
        """
        path = Path(lock)
        wanted = [pull for pull in LockFile.read(path).pulls if into is None or pull.into == into]
        if not wanted:
            raise NotFound(f"The lock file {str(path)!r} locks no folder {into!r}." if into else f"{path} is empty.")
        options = PullOptions(force=force)
        with StatCache() as stats:
            return [
                pulling.pull_locked(
                    self._transport,
                    pull,
                    path.absolute().parent / pull.into,
                    options,
                    stats=stats,
                    cache=self._client.cache,
                    on_progress=on_progress,
                )
                for pull in wanted
            ]

    # --- single files in ----------------------------------------------------------------------------------------------

    def unpack(
        self,
        archive: str | Path,
        target: Thing,
        *,
        name: str | None = None,
        description: str = "",
        wait: bool = True,
        on_progress: OnProgress | None = None,
        on_unpacking: Callable[[Task], None] | None = None,
    ) -> Version:
        """Send an archive whose files become those of a version, all of them in one revision; the server unpacks it.

        Args:
            archive: zip, tar, tar.gz, tar.bz2, tar.xz or tar.zst, by the end of its name.
            target: A dataset, which is made if it is not there, or a version, to which the files are added.
            wait: Until it is unpacked; else the version as it is now.
            on_unpacking: Called with each state of the task that the server tells.

        Raises:
            Invalid: The archive was refused; the message names the member, `errors` more of them.
        """
        with Journal() as journal, StatCache() as stats:
            source = _file(Path(archive), None, stats)
            tally = Tally(on_progress)
            begun = unpacking.begin(
                self._transport, source, target, journal=journal, tally=tally, name=name, description=description
            )
        if wait:
            ended = self._client.tasks.wait(begun.task, on_progress=on_unpacking)
            if ended.state is not TaskState.DONE:
                told = ended.error or {}
                report = told.get("report") or {}
                said = str(report.get("message") or told.get("detail") or "Unpacking was cancelled.")
                raise Invalid(said, errors=report.get("errors", ()))
        return self._client.versions.get(begun.version)

    def upload(
        self,
        path: str | Path,
        *,
        filename: str | None = None,
        project: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Send a file without saying yet what it becomes; the id (`up_…`) is for a commit to refer to."""
        with Journal() as journal, StatCache() as stats:
            source = _file(Path(path), filename, stats)
            tally = Tally(on_progress)
            tally.begin("upload", bytes_total=source.size, files_total=1)
            upload = Sender(self._transport, journal, project=project, tally=tally).send(source)
            tally.end()
            return upload

    def upload_bytes(self, content: bytes, filename: str, *, project: str | None = None) -> str:
        """Likewise for bytes in memory."""
        with Journal() as journal:
            return Sender(self._transport, journal, project=project).send(_bytes(content, filename))

    def upload_stream(
        self,
        stream: IO[bytes],
        filename: str,
        *,
        project: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """Likewise for what can be read only once, such as a pipe; 8 MiB of it are held in memory."""
        tally = Tally(on_progress)
        tally.begin("upload", files_total=1)
        with Journal() as journal:
            return Sender(self._transport, journal, project=project, tally=tally).send_stream(stream, filename)

    def write(
        self,
        target: Thing,
        content: bytes,
        path: str | None = None,
        *,
        message: str = "",
        metadata: str | None = None,
        media_type: str | None = None,
    ) -> Committed:
        """Put bytes at a path of an existing version, as one revision."""
        upload = self.upload_bytes(content, self._path_of(target, path).rpartition("/")[2])
        return self._commit_one(target, path, upload, message, metadata, media_type)

    def write_file(
        self,
        target: Thing,
        source: str | Path,
        path: str | None = None,
        *,
        message: str = "",
        metadata: str | None = None,
        media_type: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Committed:
        """Put a local file at a path of an existing version, as one revision."""
        upload = self.upload(source, filename=self._path_of(target, path).rpartition("/")[2], on_progress=on_progress)
        return self._commit_one(target, path, upload, message, metadata, media_type)

    def _path_of(self, target: Thing, path: str | None) -> str:
        found = path
        if found is None and isinstance(target, str):
            found = pins.split(target)[1]
        if found is None and isinstance(target, Pin):
            found = target.path
        if found is None:
            raise Invalid("Name the file, as in project/dataset/raw/a.csv.")
        return names.entry_path(found)

    def _commit_one(
        self, target: Thing, path: str | None, upload: str, message: str, metadata: str | None, media: str | None
    ) -> Committed:
        at = pins.pin(self._transport, target, path)
        extra: dict[str, Any] = {} if metadata is None else {"metadata": metadata}
        extra |= {} if media is None else {"media_type": media}
        add = Add(op="add", path=self._path_of(target, path), upload=upload, **extra)
        body = NewCommit(changes=[add], message=message)
        return self._transport.post(f"/versions/{segment(at.version)}/commits", Committed, body)

    # --- a whole dataset from one source ------------------------------------------------------------------------------

    def from_bytes(self, content: bytes, name: str, filename: str, *, wait: bool = True, **fields: Any) -> Version:
        """A new version that holds these bytes as one file.

        A table or records version is checked before it is ready.

        Args:
            name: Of the dataset.
            filename: Of the file in it.
            wait: Come back when it is ready or has failed, rather than when the check has begun.
            fields: As for `versions.create`.
        """
        with Journal() as journal:
            return self._made_from(_bytes(content, filename), name, journal, wait, fields)

    def from_file(
        self,
        path: str | Path,
        name: str | None = None,
        *,
        filename: str | None = None,
        wait: bool = True,
        on_progress: OnProgress | None = None,
        **fields: Any,
    ) -> Version:
        """A new version that holds a local file; named after the file unless `name` says otherwise."""
        with Journal() as journal, StatCache() as stats:
            source = _file(Path(path), filename, stats)
            return self._made_from(source, name or Path(path).stem, journal, wait, fields, on_progress)

    def _made_from(
        self,
        source: Source,
        name: str,
        journal: Journal,
        wait: bool,
        fields: NewVersionFields | dict[str, Any],
        on_progress: OnProgress | None = None,
    ) -> Version:
        given: dict[str, Any] = dict(fields)
        kind = Kind(given.get("kind", Kind.FILES))
        tally = Tally(on_progress)
        tally.begin("upload", bytes_total=source.size, files_total=1)
        file_name = source.name.rpartition("/")[2]
        if kind is Kind.FILES:
            upload = Sender(self._transport, journal, project=given.get("project"), tally=tally).send(source)
            made = self._transport.post("/versions", VersionWithSlots, NewVersion(name=name, **given))
            body = NewCommit(changes=[Add(op="add", path=names.entry_path(file_name), upload=upload)])
            done = self._transport.post(f"/versions/{segment(made.id)}/commits", Committed, body)
            journal.forget(self._transport.url, [source.sha256])
            tally.end()
            return done.version
        given["slots"] = [NewSlot(file_name=file_name, length=source.size)]
        made = self._transport.post("/versions", VersionWithSlots, NewVersion(name=name, **given))
        self._fill(made, source, tally)
        self._client.versions.ingest(made.id)
        tally.end()
        return self._client.versions.wait(made.id) if wait else self._client.versions.get(made.id)

    def _fill(self, made: VersionWithSlots, source: Source, tally: Tally) -> None:
        slot = made.slots[0]
        if slot.url is None:
            raise Invalid(f"{made.label} gave no address to put {slot.file_name!r} to. Ask whoever runs the server.")

        def content() -> Iterator[bytes]:
            for block in source.blocks(0, source.size):
                yield block
                tally.add(len(block), file_name=source.name)

        self._transport.put_url(slot.url, content, {**slot.headers, "Content-Length": str(source.size)})

    # --- out ----------------------------------------------------------------------------------------------------------

    def list(self, thing: Thing, *, prefix: str | None = None) -> Iterator[Entry]:
        """The files of a revision, in path order."""
        yield from self._client.versions.entries(thing, prefix=prefix)

    def pages(self, thing: Thing, *, prefix: str | None = None, limit: int | None = None) -> Iterator[EntryPage]:
        """The same, page by page."""
        yield from self._client.versions.entry_pages(thing, prefix=prefix, limit=limit)

    def open(self, thing: Thing, path: str | None = None) -> BinaryIO:
        """A seekable file object of one file. It goes on reading the revision that it was opened at."""
        reader = EntryReader(self._transport, self._wanted(thing, path), self._client.cache)
        return io.BufferedReader(reader, 1 << 16)

    def read_bytes(self, thing: Thing, path: str | None = None, *, max_size: int = _MAX_BYTES) -> bytes:
        """A whole file in memory, checked against its digest.

        Raises:
            TooLarge: It has more than `max_size` bytes.
        """
        wanted = self._wanted(thing, path)
        if wanted.size > max_size:
            raise TooLarge(
                f"{wanted.path!r} has {wanted.size:,} bytes, more than the {max_size:,} asked for. Open or download it."
            )
        return whole(self._transport, wanted, self._client.cache if wanted.size <= WHOLE else None)

    def read_range(self, thing: Thing, start: int, end: int, path: str | None = None) -> bytes:
        """The bytes `start` up to, not including, `end` of a file."""
        return read_range(self._transport, self._wanted(thing, path), start, end)

    def archive(
        self,
        thing: Thing,
        into: str | Path,
        *,
        format: Literal["zip", "tar", "tar.gz"] | None = None,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """A version, or a folder of it, as one archive file; its format is that of the name unless it is given."""
        target = Path(into)
        chosen = format or _format_of(target)
        pin = pins.pin(self._transport, thing)
        tally = Tally(on_progress)
        beside = target.with_name(f"{target.name}.part")
        asked = {"format": chosen, "revision": pin.revision, "prefix": None if pin.path is None else f"{pin.path}/"}
        stop = Stop()
        try:
            with (
                self._transport.stream("GET", f"/versions/{segment(pin.version)}/archive", params=asked) as answer,
                beside.open("wb") as file,
            ):
                _require_archive(answer.headers.get("Content-Type", ""), chosen, self._transport.url)
                length = answer.headers.get("Content-Length")
                tally.begin("download", bytes_total=None if length is None else int(length), files_total=1)
                for block in answer.iter_raw():
                    stop.check()
                    file.write(block)
                    tally.add(len(block), file_name=target.name)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
        tally.add(files=1)
        tally.end()
        return target

    def _wanted(self, thing: Thing, path: str | None) -> Wanted:
        pin = pins.pin(self._transport, thing, path)
        if pin.path is None:
            raise Invalid(f"{pin.reference} is a whole version. Name a file in it, as in {pin.reference}/raw/a.csv.")
        entry = self.entry(pin)
        return Wanted(pin.version, pin.revision, entry.path, entry.size, entry.sha256)

    def entry(self, thing: Thing, path: str | None = None) -> EntryDetail:
        """What is known of one file: size, digest, types, text."""
        return self._client.versions.entry(thing, path)


def _file(path: Path, filename: str | None, stats: StatCache) -> FileSource:
    if not path.is_file():
        raise NotFound(f"There is no file {str(path)!r}. Check the path.")
    file = LocalFile(filename or path.name, path, stat_of(path.stat()))
    return FileSource(file, digest_file(file, stats))


def _bytes(content: bytes, filename: str) -> BytesSource:
    return BytesSource(filename, content, hashlib.sha256(content).digest())


def _require_archive(media_type: str, format: str, url: str) -> None:
    """An archive has no digest that was known before, so a page of somebody on the way would be kept as one."""
    if media_type.partition(";")[0].strip().lower() != _ARCHIVES[format]:
        raise Unsupported(
            f"{url} answered with {media_type or 'no type'!r} and not with a {format} archive. Check that the address "
            "is that of an Entrepot server, and that nothing in between answers for it."
        )


def _format_of(target: Path) -> str:
    name = target.name.lower()
    for suffix, found in ((".zip", "zip"), (".tar", "tar"), (".tar.gz", "tar.gz"), (".tgz", "tar.gz")):
        if name.endswith(suffix):
            return found
    raise Invalid(f"{target.name!r} does not say which archive it is. End it in .zip, .tar or .tar.gz.")
