"""Writing below one folder and nowhere else: every pulled file goes through here.

The names come from a server, which other people write to. Paths are checked by the gate again, no step of a path may
be a symbolic link (a link in the folder could lead anywhere), and names that this system cannot store or tell apart
get a safe one in their place, which is said and never silent.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from entrepot.model import names
from entrepot.model.errors import Conflict
from entrepot.model.windows_names import windows_safe

__all__ = ["Folder", "local_names"]


class Folder:
    """A folder of this computer that is written to by entry paths. It may itself be a link: its owner chose it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: set[str] = set()

    def place(self, path: str) -> Path:
        """Where an entry of this local name lies; nothing is touched."""
        return self.root.joinpath(*names.entry_path(path).split("/"))

    def prepare(self, path: str) -> Path:
        """The same, with the folders above it made.

        Raises:
            Conflict: A link or a file stands where a folder has to be, or a folder where the file has to be.
        """
        target = self.place(path)
        folders = path.split("/")[:-1]
        if "/".join(folders) not in self._made:
            self.root.mkdir(parents=True, exist_ok=True)
            at = self.root
            for name in folders:
                at = at / name
                self._make(at)
            self._made.add("/".join(folders))
        if _is_folder(target):
            raise Conflict(f"{str(target)!r} is a folder, and a file has to go there. Move it away, or pull elsewhere.")
        return target

    def _make(self, at: Path) -> None:
        try:
            at.mkdir()
        except FileExistsError:
            if is_link(at):
                raise Conflict(
                    f"{str(at)!r} is a link, and a pull does not write through links. Remove it, or pull elsewhere."
                ) from None
            if not at.is_dir():
                raise Conflict(
                    f"{str(at)!r} is a file, and a folder has to go there. Move it away, or pull elsewhere."
                ) from None

    def is_plain(self, path: str) -> bool:
        """Whether a regular file lies there, reached through no link."""
        try:
            # Of ten thousand files that are to come none is there: one question each, not one for every step.
            state = os.lstat(os.path.join(self.root, path))  # noqa: PTH118 - a Path object costs more than the call
        except (OSError, ValueError):
            return False
        if not stat.S_ISREG(state.st_mode):
            return False
        at = self.root
        for name in path.split("/"):
            at = at / name
            if is_link(at):
                return False
        return at.is_file()

    def remove(self, path: str) -> None:
        """Take a file away, and the folders above it that are empty then. Nothing happens where there is none."""
        if not self.is_plain(path):
            return
        target = self.place(path)
        target.unlink(missing_ok=True)
        above = target.parent
        while above != self.root:
            try:
                above.rmdir()
            except OSError:
                return
            above = above.parent


def _is_folder(place: Path) -> bool:
    """A folder itself, not what leads to one."""
    try:
        return stat.S_ISDIR(os.lstat(place).st_mode)
    except OSError:
        return False


def is_link(place: Path) -> bool:
    """A symbolic link, or a junction of Windows."""
    try:
        state = place.lstat()
    except OSError:
        return False
    reparse = getattr(state, "st_reparse_tag", 0)
    return place.is_symlink() or bool(reparse and not os.path.samestat(state, place.stat()))


def local_names(paths: Iterable[str], *, windows: bool | None = None, folds_case: bool = False) -> dict[str, str]:
    """The name that each entry gets here, by its path: itself wherever this system can store it.

    Args:
        windows: Whether the names have to be safe for Windows; by default whether this is Windows.
        folds_case: Whether this file system takes `A` and `a` for one file. The first path keeps its name then.
    """
    safe = sys.platform == "win32" if windows is None else windows
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for path in paths:
        name = windows_safe(path) if safe else path
        if folds_case:
            name = _apart(name, taken)
        found[path] = name
    return found


def _apart(name: str, taken: dict[str, str]) -> str:
    """The name with every step marked that differs by case only from one that is taken."""
    steps: list[str] = []
    for step in name.split("/"):
        above = "/".join(steps)
        wished = f"{above}/{step}" if above else step
        owner = taken.setdefault(names.folded(wished), wished)
        if owner == wished:
            steps.append(step)
            continue
        mark = "~" + hashlib.sha256(step.encode()).hexdigest()[:8]
        stem, dot, suffix = step.rpartition(".")
        apart = f"{stem}{mark}{dot}{suffix}" if stem else f"{step}{mark}"
        wished = f"{above}/{apart}" if above else apart
        taken.setdefault(names.folded(wished), wished)
        steps.append(apart)
    return "/".join(steps)


def folds_case(root: Path) -> bool:
    """Whether the file system of an existing folder ignores case: asked of a file made for the purpose."""
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="entrepot-CaSe-", dir=root) as probe:
        place = Path(probe.name)
        return place.with_name(place.name.lower()).exists()
