"""References: how people name a version, a revision and a file in it.

    project-slug/dataset-slug[@v[.r]][/path]

`lab/penguins` is the dataset, `lab/penguins@3` its version 3, `lab/penguins@3.17` revision 17 of that, and
`lab/penguins@3.17/raw/a.csv` a file. In place of the dataset's slug an alias of a version may stand. Slugs and aliases
hold neither `@` nor `/`, and the path comes last, so a reference needs no quoting and has one reading.

A reference is a label and may lead elsewhere tomorrow; what is stored pins the version's uid and the revision.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from entrepot.model import names
from entrepot.model.errors import InvalidName
from entrepot.model.ids import MAX_REVISION

_VERSION = re.compile(r"([1-9][0-9]{0,9})(?:\.(0|[1-9][0-9]{0,9}))?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference. `dataset` is a slug or an alias; what is None was not named."""

    project: str
    dataset: str
    version: int | None = None
    revision: int | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if self.revision is not None and self.version is None:
            raise InvalidName("A reference names a revision without its version. Write it as in lab/penguins@3.17.")

    def __str__(self) -> str:
        written = f"{self.project}/{self.dataset}"
        if self.version is not None:
            written += f"@{self.version}"
        if self.revision is not None:
            written += f".{self.revision}"
        return written if self.path is None else f"{written}/{self.path}"


def parse_reference(text: str) -> Reference:
    """Read a reference. One `/` at the end is dropped: no path is both a file and a folder.

    Raises:
        InvalidName: It is none; the message says which part is wrong.
    """
    if not isinstance(text, str):
        raise InvalidName(f"A reference is a text, not {type(text).__name__}. Write it as in lab/penguins@3/raw/a.csv.")
    project, slash, rest = text.removesuffix("/").partition("/")
    if not slash or not rest:
        shown = repr(text) if len(text) <= 60 else f"{text[:40]!r}…"
        raise InvalidName(f"Reference {shown} names no dataset. Write project/dataset, as in lab/penguins@3/raw/a.csv.")
    named, has_path, path = rest.partition("/")
    dataset, at, number = named.partition("@")
    version, revision = _numbers(number) if at else (None, None)
    return Reference(
        project=names.slug(project),
        dataset=_slug_or_alias(dataset),
        version=version,
        revision=revision,
        path=names.entry_path(path) if has_path else None,
    )


def _numbers(text: str) -> tuple[int, int | None]:
    match = _VERSION.fullmatch(text)
    if match is None or max(int(part) for part in match.groups("0")) > MAX_REVISION:
        shown = repr(text) if len(text) <= 60 else f"{text[:40]!r}…"
        raise InvalidName(f"{shown} after '@' is no version. Write a number, as in @3, or @3.17 for revision 17 of it.")
    return int(match[1]), None if match[2] is None else int(match[2])


def _slug_or_alias(text: str) -> str:
    try:
        return names.slug(text)
    except InvalidName as not_a_slug:
        try:
            return names.alias(text)
        except InvalidName:
            raise not_a_slug from None
