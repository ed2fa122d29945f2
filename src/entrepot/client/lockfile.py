"""`entrepot.lock`: which bytes exactly a folder was pulled from, small enough to be committed beside the code.

    {
      "entrepot-lock": 1,
      "pulls": [
        {"into": "data/penguins",                     relative to the lock file, with /
         "server": "https://data.example.org",
         "reference": "lab/penguins@3.17",            for people; it may lead elsewhere tomorrow
         "version": "ver_0190…", "revision": 17,      what is really pinned
         "prefix": "raw",                             left out when the whole version was pulled
         "tree": "sha256:…",                          the digest of the lines of `entries`
         "entries": [["raw/a.csv", 1024, "sha256:…"], …]}
      ]
    }

Entries and pulls are sorted, one entry a line, so that a difference between two locks can be read. `tree` is the
SHA-256 of the UTF-8 text with one line `<sha256 hex>  <size>  <path>\\n` per entry, in order of the paths' code points.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from entrepot.model import names
from entrepot.model.errors import Corrupt, EntrepotError, NotFound

__all__ = ["FILE_NAME", "LockFile", "LockedEntry", "LockedPull", "tree_digest"]

FILE_NAME = "entrepot.lock"
_FORMAT = 1


@dataclass(frozen=True, slots=True, order=True)
class LockedEntry:
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LockedPull:
    """One folder and what belongs into it. `entries` are sorted by path."""

    into: str
    server: str
    reference: str
    version: str
    revision: int
    entries: tuple[LockedEntry, ...]
    prefix: str | None = None

    @property
    def tree(self) -> str:
        return tree_digest(self.entries)


@dataclass(frozen=True, slots=True)
class LockFile:
    pulls: tuple[LockedPull, ...] = ()

    def with_pull(self, pull: LockedPull) -> LockFile:
        """With this folder's entry replaced or added."""
        others = [known for known in self.pulls if known.into != pull.into]
        return LockFile(tuple(sorted([*others, pull], key=lambda known: known.into)))

    def text(self) -> str:
        blocks = []
        for pull in self.pulls:
            head: dict[str, Any] = {
                "into": pull.into,
                "server": pull.server,
                "reference": pull.reference,
                "version": pull.version,
                "revision": pull.revision,
            }
            if pull.prefix is not None:
                head["prefix"] = pull.prefix
            head["tree"] = pull.tree
            lines = [f"     {_json(name)}: {_json(value)}," for name, value in head.items()]
            entries = ",\n".join(f"      {_json([e.path, e.size, e.sha256])}" for e in pull.entries)
            lines.append(f'     "entries": [\n{entries}\n     ]' if entries else '     "entries": []')
            blocks.append("    {" + "\n".join(lines).lstrip() + "}")
        pulls = ",\n".join(blocks)
        return f'{{\n  "entrepot-lock": {_FORMAT},\n  "pulls": [\n{pulls}\n  ]\n}}\n'

    def write(self, path: Path) -> None:
        """Replace the file at once: a reader sees the old lock or the new one."""
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(self.text(), encoding="utf-8", newline="\n")
        beside.replace(path)

    @classmethod
    def read(cls, path: Path) -> LockFile:
        """
        Raises:
            NotFound: There is no such file.
            Corrupt: It is no lock file, was changed by hand, or was written by a newer release.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFound(f"There is no lock file {str(path)!r}. Make one with `entrepot pull --lock`.") from error
        except (OSError, ValueError) as error:
            raise Corrupt(f"The lock file {str(path)!r} cannot be read: {error}.") from error
        if not isinstance(content, dict) or content.get("entrepot-lock") != _FORMAT:
            raise Corrupt(f"{str(path)!r} is no lock file that this release knows. Update entrepot, or lock again.")
        try:
            return cls(tuple(_pull(pull) for pull in content["pulls"]))
        except EntrepotError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise Corrupt(f"The lock file {str(path)!r} is damaged: {error!r}. Lock again.") from error


def tree_digest(entries: Iterable[LockedEntry]) -> str:
    digest = hashlib.sha256()
    for entry in sorted(entries):
        digest.update(f"{entry.sha256.removeprefix('sha256:')}  {entry.size}  {entry.path}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def _pull(given: dict[str, Any]) -> LockedPull:
    entries = tuple(
        LockedEntry(names.entry_path(path), _natural(size), _digest(sha256)) for path, size, sha256 in given["entries"]
    )
    into = given["into"]
    place = PurePosixPath(into)
    if place.is_absolute() or ".." in place.parts:
        raise Corrupt(f"The lock file names the folder {into!r}, which is not below it.")
    pull = LockedPull(
        into=str(place),
        server=str(given["server"]),
        reference=str(given["reference"]),
        version=str(given["version"]),
        revision=_natural(given["revision"]),
        entries=tuple(sorted(entries)),
        prefix=given.get("prefix"),
    )
    if pull.tree != given["tree"]:
        raise Corrupt(f"The entries of {into!r} in the lock file do not fit its digest: it was edited. Lock again.")
    return pull


def _natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of bytes or revision")
    return value


def _digest(value: object) -> str:
    if not isinstance(value, str) or len(value) != 71 or not value.startswith("sha256:"):
        raise ValueError(f"{value!r} is no sha256:<hex>")
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
