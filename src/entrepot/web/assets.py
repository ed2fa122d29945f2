"""The files that pages load: our own, and those that the build puts beside them.

    static/            written by hand, in the tree
    static/built/      made by the build from packages of other people; absent in a bare checkout

Each file is read once and named by its digest, so that browsers keep it for a year and a new release is seen at once.
Nothing is loaded from any other host.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

__all__ = ["Asset", "Assets"]

#: mimetypes asks the machine, and machines differ.
_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_PACKED: Final = (".css", ".js", ".mjs", ".json", ".svg", ".txt", ".wasm")


@dataclass(frozen=True)
class Asset:
    """One file. `tag` is of its content; `packed` the content in gzip, where that is worth it."""

    name: str
    body: bytes
    media_type: str

    @cached_property
    def tag(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:16]

    @cached_property
    def packed(self) -> bytes | None:
        if not self.name.endswith(_PACKED) or len(self.body) < 1024:
            return None
        return gzip.compress(self.body, 6, mtime=0)


class Assets:
    """All files below `static`, read when they are first asked for.

    Args:
        prefix: The path under which the door serves them.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._found: dict[str, Asset | None] = {}

    @cached_property
    def _names(self) -> Mapping[str, Traversable]:
        """Every file that there is. A name out of a request is only ever looked up here."""
        found: dict[str, Traversable] = {}

        def walk(folder: Traversable, path: str) -> None:
            for child in folder.iterdir():
                name = path + child.name
                if child.is_dir():
                    walk(child, name + "/")
                elif not child.name.startswith("."):
                    found[name] = child

        walk(files("entrepot.web") / "static", "")
        return found

    def get(self, name: str) -> Asset | None:
        """The file of that name below `static`; None if there is none."""
        if name not in self._found:
            place = self._names.get(name)
            if place is None:
                return None
            ending = "." + name.rpartition(".")[2].lower()
            guessed = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
            self._found[name] = Asset(name, place.read_bytes(), guessed)
        return self._found[name]

    def url(self, name: str) -> str | None:
        """Where a page finds a file; None if it has not been built."""
        asset = self.get(name)
        return None if asset is None else f"{self._prefix}/{name}?v={asset.tag}"
