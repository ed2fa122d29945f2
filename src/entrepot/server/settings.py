"""How a setting is written: the readers of sizes, times and lists, and the shape of one line of the settings table.

A value comes from the command line or the environment as text and from `entrepot.toml` as what TOML made of it; both
go through the same reader, so that `"10 GiB"`, `10737418240` and `--set limits.upload_size=10GiB` are one value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from entrepot.model.errors import Invalid

Reader = Callable[[Any], Any]

_SIZES = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgtp", 1)
    for ending, base in (("b", 1000), ("ib", 1024), ("i", 1024))
}
_TIMES = {"": 1.0, "s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "ms": 0.001}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_NOTHING = frozenset({"", "none", "unlimited", "never"})


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table.

    Args:
        name: `host`, or `section.key` as TOML has it.
        read: Turns what was given into the value.
        form: How the value is written, for people.
        default: The value itself.
        flag: Its own option of `entrepot serve`; every setting can also be given as `--set NAME=VALUE`.
        in_file: Whether `entrepot.toml` may hold it.
    """

    name: str
    read: Reader
    form: str
    default: Any
    help: str
    flag: str | None = None
    in_file: bool = True

    @property
    def env(self) -> str:
        return "ENTREPOT_" + self.name.replace(".", "_").upper()


def text(given: Any) -> str:
    if not isinstance(given, str):
        raise ValueError("is not a text")
    return given.strip()


def flag(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("is neither true nor false")


def whole(least: int, most: int | None = None) -> Reader:
    """A whole number between the two, both included."""

    def read(given: Any) -> int:
        if isinstance(given, bool) or not re.fullmatch(r"-?[0-9]{1,18}", str(given).strip()):
            raise ValueError("is not a whole number")
        return _within(int(given), least, most)

    return read


def size(given: Any) -> int:
    """Bytes: `1048576`, `1MiB`, `1.5 GB`."""
    number, unit = _quantity(given)
    if unit not in _SIZES:
        raise ValueError(f"has the unknown unit {unit!r}; use one such as MB or GiB")
    return int(number * _SIZES[unit])


def duration(given: Any) -> timedelta:
    """`90` (seconds), `12h`, `7d`."""
    number, unit = _quantity(given)
    if unit not in _TIMES:
        raise ValueError(f"has the unknown unit {unit!r}; use s, min, h, d or w")
    seconds = number * _TIMES[unit]
    if not 0 < seconds <= 100 * 366 * 86400:
        raise ValueError("is not between a moment and a hundred years")
    return timedelta(seconds=seconds)


def optional(read: Reader) -> Reader:
    """As `read`, or `none`."""

    def or_nothing(given: Any) -> Any:
        if given is None or (isinstance(given, str) and given.strip().lower() in _NOTHING):
            return None
        return read(given)

    return or_nothing


def words(allowed: tuple[str, ...] | None = None) -> Reader:
    """A list, in TOML as a list and elsewhere with commas; each once."""

    def read(given: Any) -> tuple[str, ...]:
        parts = given if isinstance(given, list | tuple) else str(given).split(",")
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("is not a list of texts")
        found = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
        for word in found:
            if allowed is not None and word not in allowed:
                raise ValueError(f"names {word!r}; known are {', '.join(allowed)}")
        return found

    return read


def one_of(*allowed: str) -> Reader:
    def read(given: Any) -> str:
        word = text(given).lower()
        if word not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return word

    return read


def read_setting(setting: Setting, given: Any, where: str) -> Any:
    """The value of a setting.

    Args:
        where: What the message calls the place it came from.

    Raises:
        Invalid: It cannot be read. Settings may hold secrets, so the message does not repeat the value.
    """
    try:
        return setting.read(given)
    except ValueError as wrong:
        raise Invalid(f"Setting {setting.name} (from {where}) {wrong}. Write {setting.form}.") from None


def written(value: Any) -> str:
    """A value as its reader reads it again."""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f}s"
    if isinstance(value, bytes):
        return value.hex()
    return shown(value)


def shown(value: Any) -> str:
    """A default as the documentation writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return _shown_time(value)
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def _shown_time(value: timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _quantity(given: Any) -> tuple[float, str]:
    if isinstance(given, bool):
        raise ValueError("is not a number with a unit")
    match = _QUANTITY.fullmatch(str(given).strip())
    if match is None:
        raise ValueError("is not a number with a unit")
    return float(match[1]), match[2].lower()


def _within(number: int, least: int, most: int | None) -> int:
    if number < least:
        raise ValueError(f"is less than {least}")
    if most is not None and number > most:
        raise ValueError(f"is more than {most}")
    return number
