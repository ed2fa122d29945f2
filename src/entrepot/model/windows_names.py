"""Names that Windows cannot store, and safe ones in their place, for pulling to an instrument's computer.

Entry paths may hold what Linux and object stores allow. On Windows some of those are refused (`a:b` even writes a
hidden stream of the file `a`), some lose their end (`data.` becomes `data`) and some reach a device (`aux.csv`).
The rules are those of the Win32 name space as Microsoft's "Naming Files, Paths, and Namespaces" describes it.
"""

from __future__ import annotations

import hashlib
import re

__all__ = ["is_windows_safe", "windows_safe"]

#: NTFS counts UTF-16 units.
_MAX_UNITS = 255

_FORBIDDEN = re.compile(r'[<>:"|?*\\\x00-\x1f]')
# A device is reached whatever follows a dot, and whatever spaces stand before it. ¹²³ count as digits there.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\..*)?", re.IGNORECASE | re.DOTALL)


def is_windows_safe(path: str) -> bool:
    """Whether every name of an entry path can be stored on Windows as it is."""
    return all(_is_safe(name) for name in path.split("/"))


def windows_safe(path: str) -> str:
    """The path to store an entry under on Windows: the path itself where that works.

    In a name that does not, each forbidden character becomes `_`, and `~` with eight digits of the name's hash is put
    before the suffix, so that two names do not meet in one: `a:b.txt` → `a_b~1f0f1e95.txt`. Always the same for the
    same path, whatever else is pulled. Paths that differ in case only are not told apart; see `names.folded`.
    """
    return "/".join(name if _is_safe(name) else _replaced(name) for name in path.split("/"))


def _is_safe(name: str) -> bool:
    return (
        name not in ("", ".", "..")
        and _FORBIDDEN.search(name) is None
        and name[-1] not in " ."
        and _DEVICE.fullmatch(name) is None
        and _units(name) <= _MAX_UNITS
    )


def _replaced(name: str) -> str:
    mark = "~" + hashlib.sha256(name.encode()).hexdigest()[:8]
    plain = _FORBIDDEN.sub("_", name).rstrip(" .") or "_"
    head, first_dot, rest = plain.partition(".")
    if _DEVICE.fullmatch(head):
        plain = f"{head.rstrip()}_{first_dot}{rest}"
    stem, dot, suffix = plain.rpartition(".")
    if not stem or len(suffix) > 16 or suffix != suffix.strip():
        # No suffix that a program would know the file by: the whole name is the stem.
        stem, dot, suffix = plain, "", ""
    room = _MAX_UNITS - _units(mark + dot + suffix)
    while _units(stem) > room:
        stem = stem[:-1]
    return f"{stem}{mark}{dot}{suffix}"


def _units(name: str) -> int:
    return len(name.encode("utf-16-le")) // 2
