"""Names of files on this wire: what stands behind the slash, brought to the form that the product keeps.

Names are cleaned like POSIX paths, as the original does (observed): `.`, `x/..`, doubled and leading slashes vanish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from entrepot.model.errors import EntryNotFound, InvalidName, PathTaken

__all__ = ["bad_members", "bad_names", "normalised"]


def normalised(name: str) -> str:
    """The path that a name means.

    Raises:
        InvalidName: It means nothing below the dataset.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        else:
            parts.append(part)
    if parts and parts[0] == "..":
        raise InvalidName(f"Bad name {_said(name)}: Cannot extend beyond top-level directory (start with ..)")
    if not parts:
        raise InvalidName(f"Bad name {_said(name)}: It names no file. Put the file's name behind the slash.")
    return "/".join(parts)


@contextmanager
def bad_names(name: str) -> Iterator[None]:
    """Say what is wrong with this name in the words that the clients' users know."""
    try:
        yield
    except EntryNotFound as error:
        raise EntryNotFound(f"Bad name {_said(name)}: Doesn't exist") from error
    except PathTaken as error:
        raise PathTaken(f"Bad name {_said(name)}: {_why_taken(name, error)}") from error
    except InvalidName as error:
        if error.details.get("field") != "Entry path":
            raise
        raise InvalidName(f"Bad name {_said(name)}: {error.message}") from error


@contextmanager
def bad_members() -> Iterator[None]:
    """The same for members of an archive, of which several may be wrong: the first is named, the others told."""
    try:
        yield
    except PathTaken as error:
        name = str(error.errors[0]["path"]) if error.errors else ""
        raise PathTaken(f"Bad name {_said(name)}: {_why_taken(name, error)}", errors=error.errors) from error
    except InvalidName as error:
        name = str(error.errors[0]["path"]) if error.errors else ""
        raise InvalidName(f"Bad name {_said(name)}: {error.message}", errors=error.errors) from error


def _why_taken(name: str, error: PathTaken) -> str:
    for one in error.errors:
        # By the end of what is said: before it stands a name, which may have any words in it.
        detail = str(one.get("detail"))
        if one.get("path") != name or detail.endswith("below it."):
            return "Directory prefix is already a filename"
        if detail.endswith("cannot be a file."):
            return "Filename is already a directory prefix"
    return "Filename already in use"


def _said(name: str) -> str:
    return repr(name) if len(name) <= 200 else f"{name[:150]!r}…"
