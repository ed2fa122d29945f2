"""Filters of lists as the current client writes them: texts with commas, bounds of times, words for the trash."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from entrepot.depot.sorting import Order, Sorted
from entrepot.dialects.benchling import encode
from entrepot.dialects.benchling.context import Asked
from entrepot.model import ids
from entrepot.model.errors import Invalid, NotFound
from entrepot.model.ids import Noun

__all__ = ["wanted"]

Sign = Literal[">", ">=", "<", "<=", "="]

_SIGNS: Final[dict[str, Sign]] = {">": ">", ">=": ">=", "<": "<", "<=": "<=", "=": "="}
_BOUND: Final = re.compile(r"(>=|<=|>|<|=)?\s*(\S.*)")
_LABEL: Final = re.compile(r"(.+)\.v([1-9][0-9]{0,8})")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")

#: Falling is from the newest on; a name without a direction rises, a time falls.
_ORDERS: Final[dict[str, Order]] = {
    "modifiedAt": "-modified",
    "modifiedAt:asc": "modified",
    "modifiedAt:desc": "-modified",
    "createdAt": "-created",
    "createdAt:asc": "created",
    "createdAt:desc": "-created",
    "name": "name",
    "name:asc": "name",
    "name:desc": "-name",
}

#: Words of this wire for what is in the trash, besides the reasons themselves.
_ACTIVE, _ANY, _EITHER = "NOT_ARCHIVED", "ANY_ARCHIVED", "ANY_ARCHIVED_OR_NOT_ARCHIVED"


def wanted(asked: Asked) -> tuple[Sorted, UUID | None] | None:
    """What a list asks for, and the folder; None for what can be nothing here.

    Raises:
        Invalid: A filter is not of its form; the message names it.
    """
    if asked.text("mentionedIn") is not None or asked.text("originIds") is not None:
        # Nothing here is mentioned in notebooks, and nothing came from elsewhere.
        return None
    sort = asked.text("sort") or "modifiedAt"
    if sort not in _ORDERS:
        raise Invalid(f"sort is one of {', '.join(_ORDERS)}, not {sort[:40]!r}.")
    folder, name = asked.text("folderId"), asked.text("name")
    exact = asked.texts("names.anyOf.caseSensitive")
    try:
        place = None if folder is None else ids.parse_benchling_folder(folder)
    except NotFound:
        return None
    if name is not None and exact is not None and name not in exact:
        return None
    trashed, reasons, but = _trash(asked.texts("archiveReason"))
    found = Sorted(
        without=encode.UNPLACED,
        creators=_uids(asked, "creatorIds", Noun.USER),
        uids=_uids(asked, "ids", Noun.VERSION),
        names=asked.texts("names.anyOf"),
        exact=(name,) if name is not None else exact,
        includes=asked.text("nameIncludes"),
        labels=_labels(asked.texts("displayIds")),
        created=_bounds("createdAt", asked.texts("createdAt")),
        modified=_bounds("modifiedAt", asked.texts("modifiedAt")),
        trashed=trashed,
        reasons=reasons,
        but=but,
        order=_ORDERS[sort],
    )
    return found, place


def _uids(asked: Asked, name: str, noun: Noun) -> list[UUID] | None:
    """The uids in a list of ids; ids of another form are those of nothing."""
    texts = asked.texts(name)
    if texts is None:
        return None
    found = []
    for text in texts:
        try:
            found.append(ids.parse_benchling_version(text) if noun is Noun.VERSION else ids.decode(noun, text))
        except NotFound:
            continue
    return found


def _labels(texts: tuple[str, ...] | None) -> list[tuple[str, int | None]] | None:
    if texts is None:
        return None
    matches = [(text, _LABEL.fullmatch(text)) for text in texts]
    return [(text, None) if match is None else (match[1], int(match[2])) for text, match in matches]


def _bounds(name: str, texts: tuple[str, ...] | None) -> list[tuple[Sign, datetime]]:
    found: list[tuple[Sign, datetime]] = []
    for text in texts or ():
        match = _BOUND.fullmatch(text)
        wrong = Invalid(f"{name} is a time, or >, >=, < or <= and a time such as 2026-01-31, not {text[:60]!r}.")
        if match is None:
            raise wrong
        sign, when = match[1], match[2].strip()
        try:
            at = datetime.fromisoformat(when)
            at = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
            day = timedelta(days=1) if _DAY.fullmatch(when) else None
            if sign in (None, "=") and day is not None:
                # A day is all of it.
                found += [(">=", at), ("<", at + day)]
            else:
                found.append((_SIGNS[sign or "="], at))
        except (ValueError, OverflowError):
            raise wrong from None
    return found


def _trash(texts: tuple[str, ...] | None) -> tuple[bool | None, list[str] | None, list[str] | None]:
    """Whether in the trash, for which reasons, and, for `Other`, for which not.

    Raises:
        Invalid
    """
    if texts is None or texts == (_ACTIVE,):
        return False, None, None
    if len(texts) == 1 and texts[0] in (_ANY, _EITHER):
        return (True if texts[0] == _ANY else None), None, None
    known = {one.upper().replace(" ", "_"): one for one in encode.REASONS}
    named = [known.get(text.upper().replace(" ", "_")) for text in texts]
    if None in named:
        words = ", ".join((_ACTIVE, _ANY, _EITHER, *encode.REASONS))
        raise Invalid(f"archiveReason is one of {words}; reasons can be listed with commas.")
    reasons = [f"archived: {one}" for one in named]
    # Whatever put it there without a reason of this wire's is shown as `Other`.
    others = [f"archived: {one}" for one in encode.REASONS[:-1]]
    return True, reasons, others if encode.REASONS[-1] in named else None
