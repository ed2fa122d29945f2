"""Which files of a tree a push leaves out: the rules of `.entrepotignore` files.

One pattern a line. A subset of what gitignore files know, with the same meaning, so that nobody learns twice:

    # note          a comment; `\\#` starts a pattern with that character
    *.tmp           a name anywhere below the file's folder; `*` and `?` do not cross a `/`
    [0-9]*.log      one character of a set; `[!a]` is any other one
    build/          folders of that name, with all that is in them
    /notes.md       only beside the ignore file; so does any pattern with a `/` inside, such as `raw/*.bak`
    **/cache        `**` is any number of folders: at the start, at the end, or between two `/`
    !keep.tmp       takes back what an earlier line left out, unless a folder above it is left out

The last line that matches decides. A folder may have a file of its own, whose lines count after those above it.
White space at the end of a line is dropped unless a backslash stands before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["FILE_NAME", "IgnoreRules", "parse"]

FILE_NAME = ".entrepotignore"


#: Any number of names; every other part of a pattern is one name.
_ANY = None


@dataclass(frozen=True, slots=True)
class _Rule:
    names: tuple[re.Pattern[str] | None, ...]
    folders_only: bool
    takes_back: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The lines that count inside one folder: its own and those of the folders above it.

    Each rule comes with the folder it was written in (`""` for the root, else `a/b/`), to which its paths are relative.
    """

    rules: tuple[tuple[str, _Rule], ...] = ()

    def extended(self, folder: str, lines: Iterable[str]) -> IgnoreRules:
        """With the lines of the ignore file in `folder` (entry path, `""` for the root) added."""
        base = f"{folder}/" if folder else ""
        found = tuple((base, rule) for line in lines if (rule := parse(line)) is not None)
        return IgnoreRules(self.rules + found) if found else self

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Whether the entry path is left out. The caller does not descend into a folder that is."""
        for base, rule in reversed(self.rules):
            if rule.folders_only and not is_folder:
                continue
            if path.startswith(base) and _fits(rule.names, path[len(base) :].split("/")):
                return not rule.takes_back
        return False


def parse(line: str) -> _Rule | None:
    """One line's rule; None for blank lines and comments. Any text is a pattern: a set that never closes is a `[`."""
    text = line.rstrip("\r\n").removeprefix("\ufeff")
    if text.startswith("#"):
        return None
    while text.endswith((" ", "\t")) and not text[:-1].endswith("\\"):
        text = text[:-1]
    takes_back = text.startswith("!")
    text = text.removeprefix("!") if takes_back else text
    folders_only = text.endswith("/")
    text = text.rstrip("/") if folders_only else text
    if not text:
        return None
    parts: list[re.Pattern[str] | None] = [] if "/" in text else [_ANY]
    for part in text.removeprefix("/").split("/"):
        if part != "**":
            parts.append(_name(part))
        elif not parts or parts[-1] is not _ANY:
            parts.append(_ANY)
    if parts[-1] is _ANY:
        # `logs/**` is all that is in logs, not logs itself.
        parts.append(_name("*"))
    return _Rule(tuple(parts), folders_only, takes_back)


def _fits(parts: Sequence[re.Pattern[str] | None], names: Sequence[str]) -> bool:
    """Whether the names of a path are those of a pattern.

    Only the last `**` met is ever tried again, one name further on: whatever fits later fits for it too. So the cost
    is at most the product of the two lengths, whoever wrote the pattern.
    """
    part = name = 0
    again: tuple[int, int] | None = None
    while name < len(names):
        expected = parts[part] if part < len(parts) else None
        if part < len(parts) and expected is _ANY:
            part += 1
            again = (part, name)
        elif expected is not None and expected.fullmatch(names[name]):
            part, name = part + 1, name + 1
        elif again is not None:
            part, name = again[0], again[1] + 1
            again = (part, name)
        else:
            return False
    return part == len(parts)


@lru_cache(maxsize=1024)
def _name(pattern: str) -> re.Pattern[str]:
    """One name of a pattern, with its wild cards, as an expression."""
    pieces: list[str] = [""]
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            pieces.append("")
        elif character == "?":
            pieces[-1] += "."
        elif character == "[" and (end := _end_of_set(pattern, at)) > 0:
            pieces[-1] += _set(pattern[at:end])
            at = end + 1
        elif character == "\\" and at < len(pattern):
            pieces[-1] += re.escape(pattern[at])
            at += 1
        else:
            pieces[-1] += re.escape(character)
    if len(pieces) == 1:
        return re.compile(pieces[0], re.DOTALL)
    # Where a piece between two stars fits first is as good as anywhere later. Saying so (atomic groups) keeps the
    # expression from trying exponentially many ways to fail.
    between = "".join(f"(?>.*?{piece})" for piece in pieces[1:-1] if piece)
    return re.compile(f"{pieces[0]}{between}.*{pieces[-1]}", re.DOTALL)


def _end_of_set(pattern: str, start: int) -> int:
    """Where the `]` is that closes the set; 0 when none does. A `]` right at the start stands for itself."""
    at = start
    if at < len(pattern) and pattern[at] in "!^":
        at += 1
    end = pattern.find("]", at + 1)
    return end if end > at else 0


def _set(inside: str) -> str:
    negated = inside[0] in "!^"
    members = inside[1:] if negated else inside
    parts = []
    at = 0
    while at < len(members):
        if at + 2 < len(members) and members[at + 1] == "-":
            low, high = members[at], members[at + 2]
            if low <= high:
                parts.append(f"{re.escape(low)}-{re.escape(high)}")
            at += 3
        else:
            parts.append(re.escape(members[at]))
            at += 1
    if not parts:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(parts)}]"
