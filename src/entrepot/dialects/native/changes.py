"""The changes of a commit as the depot takes them, each file by itself, and its faults as the sender counts them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from typing import assert_never
from uuid import UUID

from entrepot.depot import entries
from entrepot.dialects.native import decode
from entrepot.model import ids
from entrepot.model.digests import parse_sha256
from entrepot.model.errors import EntrepotError
from entrepot.model.ids import Noun
from entrepot.wire.messages import entries as m

__all__ = ["as_sent", "spread"]


def spread(changes: Sequence[m.Change]) -> list[entries.Change]:
    """What the depot is asked to do, in the same order."""
    out: list[entries.Change] = []
    for one in changes:
        match one:
            case m.Add():
                out.append(_add(one))
            case m.AddFiles():
                # A commit names files by the ten thousand, so this is written for speed.
                add, upload, condition = entries.Add, _upload(one.upload), one.condition
                out += [
                    add(path, upload, parse_sha256(digest), None, None, None, None, condition)
                    for path, digest in one.files
                ]
            case m.AddBatch():
                out.append(entries.AddBatch(ids.decode(Noun.UPLOAD, one.upload), one.condition))
            case m.Remove():
                out.append(entries.Remove(one.path, one.recursive))
            case m.Rename():
                out.append(entries.Rename(one.source, one.target, one.recursive))
            case m.Describe():
                out.append(entries.Describe(one.path, one.metadata))
            case _:
                assert_never(one)
    return out


def _add(one: m.Add) -> entries.Add:
    source = one.source
    return entries.Add(
        path=one.path,
        upload=_upload(one.upload),
        sha256=decode.sha256(one.sha256),
        source=None if source is None else (decode.version(source.version), source.revision, source.path),
        media_type=one.media_type,
        data_type=one.data_type,
        metadata=one.metadata,
        condition=one.condition,
    )


@lru_cache(256)
def _upload(text: str | None) -> UUID | None:
    """The uid in `up_…`: a commit may name one batch a thousand times."""
    return None if text is None else ids.decode(Noun.UPLOAD, text)


@contextmanager
def as_sent(changes: Sequence[m.Change]) -> Iterator[None]:
    """Let faults give the place of a change in the request, of which one may have been spread into many."""
    try:
        yield
    except EntrepotError as error:
        ends = list(accumulate(len(one.files) if isinstance(one, m.AddFiles) else 1 for one in changes))
        for fault in error.errors:
            if "index" in fault:
                fault["index"] = bisect_right(ends, fault["index"])
        raise
