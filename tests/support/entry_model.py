"""What commits and merges do to the entries of a version, on plain dicts and one entry at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from entrepot.model.errors import EntrepotError, EntryNotFound, Invalid, PathTaken

#: What a commit that cannot be applied is refused with: the class of the first fault, whichever that is.
FAULTS = (PathTaken, EntryNotFound, Invalid)


class Refused(Exception):
    """The model says that this cannot be done, and with which errors the depot may say so.

    Args:
        keep: What the model changed until then counts: the refusal itself changes something.
    """

    def __init__(self, *kinds: type[EntrepotError], keep: bool = False) -> None:
        super().__init__(" or ".join(kind.__name__ for kind in kinds))
        self.kinds = kinds
        self.keep = keep


@dataclass(frozen=True)
class File:
    """An entry."""

    content: bytes
    meta: str
    pos: int


State = dict[str, File]


@dataclass(frozen=True)
class Add:
    path: str
    content: bytes
    meta: str | None = None
    condition: Literal["any", "absent", "present"] = "any"


@dataclass(frozen=True)
class Remove:
    path: str
    recursive: bool = False


@dataclass(frozen=True)
class Rename:
    source: str
    target: str
    recursive: bool = False


@dataclass(frozen=True)
class Describe:
    path: str
    meta: str


Change = Add | Remove | Rename | Describe


def below(path: str, folder: str) -> bool:
    return path.startswith(folder + "/")


def refuse(when: bool) -> None:
    if when:
        raise Refused(*FAULTS)


def check_tree(state: State) -> None:
    """No path is both a file and a folder."""
    for path in state:
        refuse(any(below(other, path) for other in state))


def commit(before: State, changes: Sequence[Change], next_pos: int) -> tuple[State, int]:
    """The state after the changes, which all speak of the state before them, and the next free position.

    Raises:
        Refused
    """
    adds: dict[str, Add] = {}
    texts: dict[str, str] = {}
    gone: set[str] = set()
    gone_folders: set[str] = set()
    renames: dict[str, str] = {}
    moves: dict[str, str] = {}
    for c in changes:
        if isinstance(c, Add):
            refuse(c.path in adds)
            adds[c.path] = c
        elif isinstance(c, Describe):
            refuse(c.path in texts)
            texts[c.path] = c.meta
        elif isinstance(c, Remove):
            if c.path in before:
                gone.add(c.path)
            else:
                refuse(not (c.recursive and any(below(p, c.path) for p in before)))
                gone_folders.add(c.path)
        elif c.source in before:
            refuse(c.source in renames or c.target in renames.values())
            renames[c.source] = c.target
        else:
            refuse(c.source in moves or not (c.recursive and any(below(p, c.source) for p in before)))
            moves[c.source] = c.target
    refuse(bool(gone & renames.keys()) or bool(gone_folders & moves.keys()))
    refuse(bool(adds.keys() & set(renames.values())))

    remaining: State = {}
    arrived: State = {}
    for path, file in before.items():
        folders = sorted((f for f in gone_folders | moves.keys() if below(path, f)), key=len)
        if path in gone:
            continue
        if path in renames:
            target = renames[path]
        elif not folders:
            remaining[path] = file
            continue
        elif folders[-1] in gone_folders:
            # Of several that cover an entry the longest path counts.
            continue
        else:
            target = moves[folders[-1]] + path[len(folders[-1]) :]
        refuse(target in arrived)
        arrived[target] = file
    refuse(any(path in remaining for path in arrived))
    result = remaining | arrived
    for path, add in adds.items():
        old = remaining.get(path)
        refuse(add.condition == "absent" and old is not None)
        refuse(add.condition == "present" and path not in before)
        refuse(path in arrived)
        if old is None:
            result[path] = File(add.content, add.meta or "", next_pos)
            next_pos += 1
        else:
            result[path] = File(add.content, old.meta if add.meta is None else add.meta, old.pos)
    check_tree(result)
    for path, text in texts.items():
        refuse(path not in result)
        result[path] = replace(result[path], meta=text)
    return result, next_pos


def numbered(path: str, k: int) -> str:
    """`d/e.gz`, 1 → `d/e-0001.gz`."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:
        stem, dot, suffix = name, "", ""
    return f"{folder}{slash}{stem}-{k:04d}{dot}{suffix}"


def merge(source: State, target: State, next_pos: int) -> tuple[State, int]:
    """The target with the files of the source, and the next free position.

    Raises:
        Refused
    """
    result = dict(target)
    for path, file in sorted(source.items(), key=lambda item: (item[1].pos, item[0])):
        if path not in target:
            result[path] = File(file.content, file.meta, next_pos)
            next_pos += 1
    for path, file in sorted(source.items(), key=lambda item: item[0].encode()):
        if path in target and target[path].content != file.content:
            k = 1
            while numbered(path, k) in result:
                k += 1
            result[numbered(path, k)] = File(file.content, file.meta, next_pos)
            next_pos += 1
    check_tree(result)
    return result, next_pos


def size(state: State) -> int:
    return sum(len(file.content) for file in state.values())
