"""Conditional requests (RFC 9110 §13): whether to go on, and whether a Range still speaks of the same content.

Entity tags are strong everywhere: ours come from a digest or a revision, so equal tags mean equal bytes. A condition
that cannot be read never lets anything happen that a correct one would have stopped: an unreadable If-Match does not
match, an unreadable If-None-Match does not hold back the content, and dates that are no dates are ignored (§13.1.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from typing import Final

from starlette.types import Scope

from entrepot.http.fields import field
from entrepot.model.errors import Malformed, PreconditionFailed

__all__ = [
    "Outcome",
    "evaluate",
    "http_date",
    "parse_http_date",
    "quoted_etag",
    "range_applies",
    "require",
    "sha256_etag",
]


class Outcome(Enum):
    """What a request's conditions come to."""

    PROCEED = 200
    NOT_MODIFIED = 304
    FAILED = 412


_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_SEPARATOR = re.compile(r"[ \t,]*")
#: Nobody has this many versions of one thing at hand; each costs a comparison.
_MAX_TAGS: Final = 1000


def evaluate(scope: Scope, *, etag: str | None, last_modified: datetime | None = None, exists: bool = True) -> Outcome:
    """Apply the conditions of a request, in the order of §13.2.2.

    Args:
        etag: The strong entity tag of what is there now, with its quotes; None if it has none.
        last_modified: Aware; sub-seconds are dropped, because the wire cannot carry them.
        exists: Whether there is anything at all, which is what "*" asks.
    """
    reading = scope["method"] in ("GET", "HEAD")
    modified = last_modified.astimezone(UTC).replace(microsecond=0) if last_modified is not None else None

    if (wanted := field(scope, b"if-match")) is not None:
        if not _matches(wanted, etag, exists=exists, weakly=False):
            return Outcome.FAILED
    elif modified and (since := parse_http_date(field(scope, b"if-unmodified-since"))) and modified > since:
        return Outcome.FAILED

    if (unwanted := field(scope, b"if-none-match")) is not None:
        if _matches(unwanted, etag, exists=exists, weakly=True):
            return Outcome.NOT_MODIFIED if reading else Outcome.FAILED
    elif reading and modified and (since := parse_http_date(field(scope, b"if-modified-since"))) and modified <= since:
        return Outcome.NOT_MODIFIED
    return Outcome.PROCEED


def require(scope: Scope, *, etag: str | None, last_modified: datetime | None = None, exists: bool = True) -> None:
    """`evaluate` for requests that change something.

    Raises:
        PreconditionFailed: The conditions do not hold; the error carries the present tag.
    """
    if evaluate(scope, etag=etag, last_modified=last_modified, exists=exists) is not Outcome.PROCEED:
        raise PreconditionFailed(
            f"The conditions of this request do not hold: what is there now has the entity tag {etag}. Read it again."
            if exists
            else "The conditions of this request do not hold: there is nothing here yet.",
            details={"etag": etag} if etag else {},
        )


def range_applies(scope: Scope, *, etag: str | None, last_modified: datetime | None = None) -> bool:
    """Whether If-Range, if any, lets Range count (§13.1.5): the same tag strongly, or exactly the same date."""
    condition = field(scope, b"if-range")
    if condition is None:
        return True
    condition = condition.strip()
    if condition.startswith(('"', "W/")):
        return etag is not None and condition == etag
    date = parse_http_date(condition)
    return date is not None and last_modified is not None and date == last_modified.replace(microsecond=0)


def _matches(condition: str, etag: str | None, *, exists: bool, weakly: bool) -> bool:
    if condition.strip() == "*":
        return exists
    return exists and etag is not None and any(tag == etag and (weakly or not weak) for weak, tag in _tags(condition))


def _tags(text: str) -> Iterator[tuple[bool, str]]:
    """Whether weak, and the quoted tag, up to the first thing that is no tag. Commas may be part of a tag."""
    at = _SEPARATOR.match(text).end()  # type: ignore[union-attr]  # matches the empty text too
    for _ in range(_MAX_TAGS):
        tag = _TAG.match(text, at)
        if tag is None:
            return
        yield bool(tag[1]), tag[2]
        at = _SEPARATOR.match(text, tag.end()).end()  # type: ignore[union-attr]


def quoted_etag(opaque: str) -> str:
    """A strong entity tag of this text.

    Raises:
        Malformed: It holds a quote or something that is not visible ASCII.
    """
    tag = f'"{opaque}"'
    if not tag.isascii() or _TAG.fullmatch(tag) is None:
        raise Malformed(f"{opaque[:80]!r} cannot be an entity tag: visible ASCII without quotes.")
    return tag


def sha256_etag(digest: bytes) -> str:
    """The entity tag of content known by its SHA-256, given as 32 bytes."""
    return f'"sha256-{digest.hex()}"'


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK: Final = r"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
_DATES: Final = (
    # Sun, 06 Nov 1994 08:49:37 GMT: the one to send
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {_CLOCK} GMT", re.ASCII),
    # Sunday, 06-Nov-94 08:49:37 GMT and Sun Nov  6 08:49:37 1994: to be understood (§5.6.7)
    re.compile(rf"[A-Z][a-z]+, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d\d) {_CLOCK} GMT", re.ASCII),
    re.compile(rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})", re.ASCII),
)


def parse_http_date(text: str | None) -> datetime | None:
    """The instant an HTTP date names, or None for anything that is no HTTP date."""
    match = next((found for form in _DATES if (found := form.fullmatch((text or "").strip()))), None)
    if match is None or match["month"] not in _MONTHS:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        # The form is from before 2000 and nobody writes it any more; the pivot is that of POSIX.
        year += 1900 if year >= 69 else 2000
    # A leap second is the second before it: neither datetime nor file systems know sixty of them.
    second = min(int(match["s"]), 59)
    try:
        return datetime(
            year,
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["h"]),
            int(match["m"]),
            second,
            tzinfo=UTC,
        )
    except ValueError:
        return None


def http_date(instant: datetime) -> str:
    """An aware instant as the wire writes it, sub-seconds dropped."""
    return format_datetime(instant.astimezone(UTC).replace(microsecond=0), usegmt=True)
