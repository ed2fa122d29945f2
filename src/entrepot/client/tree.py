"""What a folder of this computer holds, as a version would hold it: entry paths, sizes, states; and what cannot go.

Files only: a version has no empty folders, permissions or owners. Symbolic links are not followed unless that is
asked for, since what they lead to is not part of the folder. Everything that is left out is listed with its reason.
"""

from __future__ import annotations

import hashlib
import os
import stat as stat_module
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from entrepot.client import ignore
from entrepot.client.ignore import IgnoreRules
from entrepot.client.statcache import FileStat, StatCache, stat_of
from entrepot.model import names
from entrepot.model.errors import Invalid, InvalidName, NotFound, SourceChanged

__all__ = [
    "SMALL",
    "LocalFile",
    "LocalTree",
    "Problem",
    "again",
    "digest_file",
    "is_partial",
    "read_blocks",
    "read_small",
    "scan",
]

BLOCK = 1 << 20
#: Files up to this are read at once.
SMALL = 256 << 10
#: How often a file that changes while it is read is tried again.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file: its entry path, where it is, and the state it was seen in."""

    path: str
    place: Path
    stat: FileStat

    @property
    def size(self) -> int:
        return self.stat.size


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the folder that a version cannot hold, or that a reader should know."""

    path: str
    reason: str


@dataclass(slots=True)
class LocalTree:
    """A scanned folder.

    Args:
        files: By entry path, in the order of their paths.
        refused: What cannot be stored; a push with any of these stops before it sends a byte.
        skipped: Left out knowingly: links, and folders without a file in them.
        clashes: Groups of paths that a file system without case would take for one. Allowed, but said.
        ignored: How many files and folders the ignore files left out.
    """

    files: dict[str, LocalFile] = field(default_factory=dict)
    refused: list[Problem] = field(default_factory=list)
    skipped: list[Problem] = field(default_factory=list)
    clashes: list[tuple[str, ...]] = field(default_factory=list)
    ignored: int = 0

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def require_storable(self) -> None:
        """Raise unless every file can be stored.

        Raises:
            InvalidName: `errors` has each path with its reason.
        """
        if self.refused:
            first = self.refused[0]
            more = f" There are {len(self.refused) - 1:,} more." if len(self.refused) > 1 else ""
            raise InvalidName(
                f"{first.path!r} cannot be pushed: {first.reason}{more} Rename or remove them, or name them in "
                f"{ignore.FILE_NAME}.",
                errors=[{"path": problem.path, "reason": problem.reason} for problem in self.refused],
            )


def scan(root: Path, *, follow_links: bool = False, on_file: Callable[[LocalFile], None] | None = None) -> LocalTree:
    """Look at everything below a folder without reading file contents.

    Args:
        follow_links: Take what symbolic links lead to for part of the folder; a link to a folder it lies in is skipped.

    Raises:
        NotFound: There is no such folder.
        Invalid: It is not a folder.
    """
    if not root.exists():
        raise NotFound(f"There is no folder {str(root)!r}. Check the path.")
    if not root.is_dir():
        raise Invalid(f"{str(root)!r} is not a folder.")
    tree = LocalTree()
    _Scan(tree, follow_links, on_file).folder(root, "", IgnoreRules(), (_identity(root),))
    tree.files = dict(sorted(tree.files.items()))
    tree.clashes = _clashes(tree.files)
    return tree


class _Scan:
    def __init__(self, tree: LocalTree, follow_links: bool, on_file: Callable[[LocalFile], None] | None) -> None:
        self._tree = tree
        self._follow = follow_links
        self._on_file = on_file

    def folder(self, place: Path, path: str, rules: IgnoreRules, above: tuple[tuple[int, int], ...]) -> int:
        """Take in one folder and all below it; answers how many files it had."""
        found = 0
        try:
            with os.scandir(place) as listing:
                members = sorted(listing, key=lambda member: member.name)
        except OSError as error:
            self._tree.refused.append(Problem(_shown(path), f"the folder cannot be read: {error.strerror or error}."))
            return 1
        rules = self._with_own(rules, members, path)
        for member in members:
            found += self._member(member, path, rules, above)
        if not found and path:
            self._tree.skipped.append(Problem(path, "a folder without files; a version holds files only"))
        return found

    def _with_own(self, rules: IgnoreRules, members: list[os.DirEntry[str]], path: str) -> IgnoreRules:
        for member in members:
            if member.name == ignore.FILE_NAME and member.is_file():
                try:
                    text = Path(member.path).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    # To push everything instead could publish what the file was written to keep back.
                    raise Invalid(f"The ignore file {member.path!r} cannot be read: {error}.") from error
                return rules.extended(path, text.splitlines())
        return rules

    def _member(
        self, member: os.DirEntry[str], folder: str, rules: IgnoreRules, above: tuple[tuple[int, int], ...]
    ) -> int:
        raw = f"{folder}/{member.name}" if folder else member.name
        is_link = member.is_symlink() or _is_junction(member)
        if is_link and not self._follow:
            if not rules.leaves_out(raw, is_folder=False):
                self._tree.skipped.append(Problem(_shown(raw), "a symbolic link, which is not followed"))
            return 1
        try:
            is_folder = member.is_dir()
            state = member.stat()
        except OSError as error:
            if rules.leaves_out(raw, is_folder=False):
                return self._ignored()
            self._tree.refused.append(Problem(_shown(raw), f"it cannot be read: {error.strerror or error}."))
            return 1
        if is_partial(member.name) or rules.leaves_out(raw, is_folder=is_folder):
            return self._ignored()
        try:
            path = names.entry_path(raw)
        except InvalidName as error:
            rule = error.details.get("rule", "breaks a rule for names")
            self._tree.refused.append(Problem(_shown(raw), f"its name {rule}."))
            return 1
        if is_folder:
            identity = (state.st_dev, state.st_ino)
            if is_link:
                identity = _identity(Path(member.path))
                if identity in above:
                    self._tree.skipped.append(Problem(path, "a link to a folder that it lies in"))
                    return 1
            return self.folder(Path(member.path), path, rules, (*above, identity))
        if not stat_module.S_ISREG(state.st_mode):
            what = _special(state.st_mode)
            self._tree.refused.append(Problem(path, f"it is {what}, not a regular file."))
            return 1
        if path in self._tree.files:
            self._tree.refused.append(
                Problem(path, "another file has the same name, only with its accents composed differently.")
            )
            return 1
        # Windows leaves the inode out of what a listing tells.
        file = LocalFile(path, Path(member.path), stat_of(state if state.st_ino else Path(member.path).stat()))
        self._tree.files[path] = file
        if self._on_file is not None:
            self._on_file(file)
        return 1

    def _ignored(self) -> int:
        self._tree.ignored += 1
        return 1


def digest_file(file: LocalFile, cache: StatCache | None, on_bytes: Callable[[int], None] | None = None) -> bytes:
    """The SHA-256 of a file in the state that it was scanned in; from the cache if it is known for certain.

    Raises:
        SourceChanged: It is in another state now, or changes while it is read.
        NotFound: It has gone.
    """
    if cache is not None and (known := cache.known(file.place, file.stat)) is not None:
        return known
    started = cache.now() if cache is not None else 0
    if file.size <= SMALL:
        content = read_small(file)
        found = hashlib.sha256(content).digest()
        if on_bytes is not None:
            on_bytes(len(content))
    else:
        digest = hashlib.sha256()
        for block in read_blocks(file):
            digest.update(block)
            if on_bytes is not None:
                on_bytes(len(block))
        found = digest.digest()
    if cache is not None:
        cache.remember(file.place, file.stat, found, started)
    return found


def read_blocks(file: LocalFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The file's bytes from `start` to `end` in blocks of 1 MiB, watching that it stays as it was scanned.

    Raises:
        SourceChanged: Before, while or after it was read, it was in another state.
        NotFound: It has gone.
    """
    stop = file.size if end is None else end
    try:
        with open(file.place, "rb", buffering=0, opener=_at_once) as opened:
            _require_same(file, os.fstat(opened.fileno()))
            opened.seek(start)
            left = stop - start
            while left > 0:
                block = opened.read(min(BLOCK, left))
                if not block:
                    break
                left -= len(block)
                yield block
            if left or (stop == file.size and opened.read(1)):
                raise _changed(file)
            _require_same(file, os.fstat(opened.fileno()))
    except FileNotFoundError as error:
        raise NotFound(f"The file {str(file.place)!r} has gone since the folder was looked at.") from error
    except OSError as error:
        raise Invalid(f"The file {str(file.place)!r} cannot be read: {error.strerror or error}.") from error


def read_small(file: LocalFile) -> bytes:
    """`read_blocks` of a whole small file in as few calls of the system as it takes.

    Raises:
        As that.
    """
    try:
        # Without the objects that a path and a file are: for ten kilobytes they cost as much as hashing them.
        fd = _at_once(file.place, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            _require_same(file, os.fstat(fd))
            # One byte more than there should be, to see that there is none. One read gives all of it, as a rule.
            content = os.read(fd, file.size + 1)
            while len(content) < file.size and (more := os.read(fd, file.size + 1 - len(content))):
                content += more
            if len(content) != file.size:
                raise _changed(file)
            _require_same(file, os.fstat(fd))
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise NotFound(f"The file {str(file.place)!r} has gone since the folder was looked at.") from error
    except OSError as error:
        raise Invalid(f"The file {str(file.place)!r} cannot be read: {error.strerror or error}.") from error
    return content


def _at_once(place: str | os.PathLike[str], flags: int) -> int:
    """Opened without waiting: a pipe that has taken a file's place would never be written to."""
    return os.open(place, flags | getattr(os, "O_NONBLOCK", 0))


def _require_same(file: LocalFile, state: os.stat_result) -> None:
    if (state.st_size, state.st_mtime_ns) != (file.stat.size, file.stat.mtime_ns):
        raise _changed(file)


def _changed(file: LocalFile) -> SourceChanged:
    return SourceChanged(
        f"The file {file.path!r} changed while it was read. Run the command again when nothing writes to it.",
        details={"path": file.path},
    )


def again(file: LocalFile) -> LocalFile:
    """The same file in its present state.

    Raises:
        NotFound: It has gone, or is no regular file any more.
    """
    try:
        state = file.place.stat()
    except OSError as error:
        raise NotFound(f"The file {str(file.place)!r} has gone since the folder was looked at.") from error
    if not stat_module.S_ISREG(state.st_mode):
        raise NotFound(f"{str(file.place)!r} is not a regular file any more.")
    return LocalFile(file.path, file.place, stat_of(state))


def is_partial(name: str) -> bool:
    """Whether a file name is that of an unfinished pull: `<name>.<12 hex digits>.part`."""
    if not name.endswith(".part"):
        return False
    stem, dot, mark = name.removesuffix(".part").rpartition(".")
    return bool(stem and dot) and len(mark) == 12 and not set(mark) - set("0123456789abcdef")


def _clashes(files: dict[str, LocalFile]) -> list[tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for path in files:
        groups.setdefault(names.folded(path), []).append(path)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _identity(place: Path) -> tuple[int, int]:
    state = place.stat()
    return state.st_dev, state.st_ino


def _is_junction(member: os.DirEntry[str]) -> bool:
    """A junction of Windows is a link in all but name. Python knows the word from 3.12 on."""
    check = getattr(member, "is_junction", None)
    return bool(check is not None and check())


def _special(mode: int) -> str:
    for test, what in (
        (stat_module.S_ISFIFO, "a named pipe"),
        (stat_module.S_ISSOCK, "a socket"),
        (stat_module.S_ISBLK, "a device"),
        (stat_module.S_ISCHR, "a device"),
    ):
        if test(mode):
            return what
    return "a special file"


def _shown(raw: str) -> str:
    """A path that can be printed: bytes that are no UTF-8 as `\\xNN`."""
    return raw.encode("utf-8", "backslashreplace").decode() or "."
