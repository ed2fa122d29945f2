"""A whole version as one archive, streamed: sized and served by ranges where the format allows it."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from entrepot.archive.ranged import Bytes, Member, RangedArchive
from entrepot.archive.tarout import TarLayout, gzipped_tar
from entrepot.archive.zipout import ZipLayout
from entrepot.catalog import entries as rows
from entrepot.catalog import events as event_rows
from entrepot.catalog import versions as version_rows
from entrepot.depot import lookup
from entrepot.depot.contents import open_content
from entrepot.depot.context import Depot
from entrepot.depot.entries import folder_of, pin
from entrepot.depot.uploads import blocks_of
from entrepot.model.access import Action, Actor
from entrepot.model.values import Version

Format = Literal["zip", "tar", "tar.gz"]

MEDIA_TYPES: dict[Format, str] = {"zip": "application/zip", "tar": "application/x-tar", "tar.gz": "application/gzip"}


@dataclass(frozen=True, slots=True)
class Export:
    """An archive of one revision that can be read from any offset.

    Args:
        size: Bytes; None for tar.gz, whose size is known only at its end and which is read from 0 only.
    """

    version: Version
    revision: int
    format: Format
    file_name: str
    size: int | None
    etag: str
    modified_at: datetime
    _layout: RangedArchive
    _depot: Depot

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    def read(self, start: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
        """Bytes [start, end) in blocks; raises in the middle when a member cannot be read, so the response breaks."""
        if self.format == "tar.gz":
            assert isinstance(self._layout, TarLayout)
            return gzipped_tar(self._layout, self._open)
        assert self.size is not None
        return self._layout.read(start, self.size if end is None else end, self._open)

    def _open(self, member: Member, start: int, end: int) -> Iterable[Bytes]:
        assert isinstance(member.key, str)
        with open_content(self._depot, int(member.key.partition(":")[0])) as reader:
            yield from blocks_of(reader.read_at, start, end, 256 << 10)


def file_name(version: Version, format: Format) -> str:
    """What the archive of a version is called; one that was never ready has no number to show."""
    return f"{version.slug}.v{version.number}.{format}" if version.number is not None else f"{version.slug}.{format}"


def export(
    depot: Depot,
    actor: Actor,
    key: lookup.Key,
    *,
    format: Format = "zip",
    revision: int | None = None,
    prefix: str | None = None,
) -> Export:
    """The entries of a revision, or of the folder `prefix` in it, as an archive with their paths, in path order."""
    folder = folder_of(prefix)
    with depot.catalog.read() as conn:
        found, wanted = pin(conn, actor, key, revision, action=Action.READ_CONTENT)
        told = version_rows.find_revision(conn, found.version.n, wanted)
    version = found.version
    when = version.created_at if told is None else told.at

    def members(after: str | None) -> Iterator[Member]:
        while True:
            with depot.catalog.read() as conn:
                page = rows.page(conn, version.n, wanted, after=after, limit=1000, prefix=folder)
                stamps = event_rows.stamps(conn, [row.added for row in page])
            for row in page:
                added = stamps.get(row.added)
                yield Member(
                    name=row.path,
                    size=row.size,
                    crc32=row.crc32,
                    mtime=when if added is None else added[0],
                    key=f"{row.content}:{row.sha256.hex()}",
                )
            if len(page) < 1000:
                return
            after = page[-1].path

    layout: RangedArchive = ZipLayout(members) if format == "zip" else TarLayout(members)
    tag = hashlib.sha256(layout.etag_material() + format.encode()).hexdigest()
    return Export(
        version=version,
        revision=wanted,
        format=format,
        file_name=file_name(version, format),
        size=None if format == "tar.gz" else layout.size,
        etag=f'"{tag[:40]}"',
        modified_at=when,
        _layout=layout,
        _depot=depot,
    )
