"""How numbers and times are written for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

__all__ = ["ago", "clip", "count", "day", "fact", "owner", "plural", "size", "summary"]

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_LINK: Final = re.compile(r"!?\[([^\]\n]{0,200})\]\([^)\n]{0,500}\)")
#: A line of a list, and the end of the line before it.
_ITEM: Final = re.compile(r"(^|\S)\s*(?:^|\n)[ \t]*(?:[-+*]|\d{1,3}[.)])[ \t]+")
_MARKS: Final = re.compile(r"[*`~]+|^#{1,6} |^> |(?<!\w)_+|_+(?!\w)", re.MULTILINE)
_STEPS: Final = ((60, "second"), (60, "minute"), (24, "hour"), (7, "day"))


def size(octets: int | None) -> str:
    """`512 B`, `1.4 MiB`."""
    if octets is None:
        return "–"
    if octets < 1024:
        return f"{octets} B"
    amount = float(octets)
    for unit in _UNITS:
        amount /= 1024
        if amount < 1023.95 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if amount >= 99.95 else f"{amount:.1f} {unit}"
    raise AssertionError("the last unit takes everything")


def count(number: int | None) -> str:
    """`12 345`, with a space that does not break."""
    return "–" if number is None else f"{number:,}".replace(",", " ")


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 file`, `12 345 files`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def day(instant: datetime) -> str:
    """`22 Nov 2026`."""
    there = instant.astimezone(UTC)
    return f"{there.day} {there:%b %Y}"


def ago(instant: datetime, now: datetime | None) -> str:
    """`3 hours ago`, `in 5 days`; beyond two weeks the day itself."""
    if now is None:
        return day(instant)
    seconds = (now - instant).total_seconds()
    amount, unit = abs(seconds), "second"
    if amount < 45:
        return "just now" if seconds >= 0 else "in a moment"
    for step, unit in _STEPS:
        if amount < step or unit == "day":
            break
        amount /= step
    if unit == "day" and amount > 14:
        return day(instant)
    whole = max(1, round(amount))
    said = f"{whole} {unit}{'' if whole == 1 else 's'}"
    return f"{said} ago" if seconds >= 0 else f"in {said}"


def summary(text: str, length: int = 160) -> str:
    """The beginning of a text in Markdown without its marks; items of a list with dots between them."""
    plain = _ITEM.sub(lambda found: found[1] + (" " if found[1] in ("", ":") else " · "), _LINK.sub(r"\1", text))
    return clip(_MARKS.sub("", plain), length)


def clip(text: str, length: int = 160) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def fact(value: object) -> str:
    """What a program noted of something, as a person writes it: lists with commas, yes and no, nothing as a dash."""
    if value is None or value == [] or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{str(name).replace('_', ' ')}: {fact(one)}" for name, one in value.items())
    if isinstance(value, (list, tuple)):
        nested = any(isinstance(one, (Mapping, list, tuple)) for one in value)
        return (" | " if nested else ", ").join(fact(one) for one in value)
    return str(value)


def owner(team: str) -> str:
    """Whose a project is, by the name of the team that owns it: that of one person alone begins with a tilde."""
    return f"{team[1:]} alone" if team.startswith("~") else f"team {team}"
