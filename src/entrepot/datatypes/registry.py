"""All data types of a server: those of the program, and those that its settings add.

A type of the settings may have the suffixes of one of ours, and is then asked first; its identifier must be its own,
because entries that carry one of ours would change their meaning.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from entrepot.datatypes.builtin import BUILTIN
from entrepot.datatypes.peek import HEAD
from entrepot.datatypes.recognise import by_suffix, recognise, recognise_binary
from entrepot.model.data_types import DataType, Magic, Recognition
from entrepot.model.errors import NotFound, UnknownDataType

__all__ = ["MAX_ADDED", "Registry", "read_types"]

#: Types that a server's settings may add, and bytes of what a file must have at a place.
MAX_ADDED: Final = 500
MAX_MAGIC: Final = 64
MAX_MAGIC_OFFSET: Final = 4096

_IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,62}")
_SUFFIX: Final = re.compile(r"[a-z0-9][a-z0-9._+-]{0,31}")
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_KEYS: Final = frozenset({"identifier", "name", "description", "suffixes", "media_type", "magic", "text"})


class Registry:
    """The types by identifier, in the order in which lists show them. Never changes; safe to share between threads."""

    def __init__(self, added: Iterable[DataType] = ()) -> None:
        self._added = tuple(added)
        self._types = {one.identifier: one for one in (*BUILTIN, *self._added)}
        self._suffixes = by_suffix((*self._added, *BUILTIN))

    def all(self) -> tuple[DataType, ...]:
        """Those of the program first, then those of the settings, each in the order of its list."""
        return tuple(self._types.values())

    def get(self, identifier: str) -> DataType | None:
        return self._types.get(identifier.strip().lower())

    def find(self, identifier: str) -> DataType:
        """The type of this name, however its letters are cased.

        Raises:
            NotFound: There is none; the message names the closest.
        """
        found = self.get(identifier)
        if found is None:
            raise NotFound(self._unknown(identifier))
        return found

    def declared(self, identifier: str) -> str:
        """The identifier of a type that somebody says a file is.

        Raises:
            UnknownDataType: There is no such type; the message names the closest, `details["known"]` all of them.
        """
        found = self.get(identifier)
        if found is None:
            raise UnknownDataType(self._unknown(identifier), details={"known": list(self._types)})
        return found.identifier

    def recognise(self, name: str, head: bytes, *, whole: bool | None = None) -> Recognition:
        """What a file is: by what its first bytes say, and else by the ending of its name.

        Args:
            name: A path or a file's name.
            head: The first bytes, `peek.HEAD` of them if there are so many; fewer tell less.
            whole: Whether that is all of it; None is if it is shorter than that.
        """
        known = len(head) < HEAD if whole is None else whole
        return recognise(name, head, self._types, self._suffixes, self._added, whole=known)

    def recognise_binary(self, name: str, glance: bytes) -> Recognition | None:
        """The same, where the first `GLANCE` bytes show that more of them tell nothing; else None."""
        return None if self._added else recognise_binary(name, glance, self._suffixes)

    def _unknown(self, identifier: str) -> str:
        close = difflib.get_close_matches(identifier.strip().lower()[:100], self._types, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Known are {', '.join(self._types)}."
        return f"There is no data type {identifier[:100]!r}. {hint}"


def read_types(given: object) -> tuple[DataType, ...]:
    """The types that settings add: a list of tables with `identifier` and optionally `name`, `description`, `suffixes`,
    `media_type`, `text` (whether it is) and `magic`, a list of `{hex = "...", offset = 0}` or `{text = "..."}`.

    Raises:
        ValueError: What is wrong, and in which of them; put after the name of the setting it makes a sentence.
    """
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise ValueError("is not a list of tables")
    if len(given) > MAX_ADDED:
        raise ValueError(f"has {len(given)} types; at most {MAX_ADDED} can be added")
    taken = {one.identifier for one in BUILTIN}
    found = []
    for number, table in enumerate(given, 1):
        made = _read_type(table, f"has a fault in type {number}")
        if made.identifier in taken:
            raise ValueError(f"has a fault in type {number}: there is a type {made.identifier!r} already")
        taken.add(made.identifier)
        found.append(made)
    return tuple(found)


def _read_type(table: object, where: str) -> DataType:
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: it is no table")
    strange = sorted(str(key) for key in table if key not in _KEYS)
    if strange:
        raise ValueError(f"{where}: {strange[0]!r} is none of {', '.join(sorted(_KEYS))}")
    identifier = table.get("identifier")
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"{where}: identifier must be lower-case letters, digits, dot, plus and minus, at most 63")
    where = f"{where} ({identifier})"
    suffixes = table.get("suffixes", ())
    if not isinstance(suffixes, Sequence) or isinstance(suffixes, str) or len(suffixes) > 50:
        raise ValueError(f"{where}: suffixes must be a list of at most 50")
    endings = tuple(str(one).lower().removeprefix(".") for one in suffixes)
    for ending in endings:
        if not _SUFFIX.fullmatch(ending):
            raise ValueError(f"{where}: {ending[:40]!r} is no suffix; write one such as 'czi'")
    magic = table.get("magic", ())
    if not isinstance(magic, Sequence) or isinstance(magic, str) or len(magic) > 20:
        raise ValueError(f"{where}: magic must be a list of at most 20 tables")
    if not endings and not magic:
        raise ValueError(f"{where}: give suffixes or magic, otherwise nothing is ever recognised as it")
    media_type = table.get("media_type")
    if media_type is not None and (not isinstance(media_type, str) or not _MEDIA_TYPE.fullmatch(media_type)):
        raise ValueError(f"{where}: media_type must be one such as image/x-czi")
    is_text = table.get("text", False)
    if not isinstance(is_text, bool):
        raise ValueError(f"{where}: text must be true or false")
    return DataType(
        identifier,
        _words(table, "name", identifier, 100, where),
        _words(table, "description", "", 1000, where),
        endings,
        media_type,
        is_text,
        tuple(_read_magic(one, where) for one in magic),
        is_own=False,
    )


def _words(table: Mapping[Any, Any], key: str, default: str, most: int, where: str) -> str:
    said = table.get(key, default)
    if not isinstance(said, str) or len(said) > most or not said.isprintable():
        raise ValueError(f"{where}: {key} must be a text of one line with at most {most} characters")
    return said.strip() or default


def _read_magic(given: object, where: str) -> Magic:
    if (
        not isinstance(given, Mapping)
        or len({"hex", "text"} & set(given)) != 1
        or set(given) - {"hex", "text", "offset"}
    ):
        raise ValueError(f'{where}: write magic as {{hex = "89504e47", offset = 0}} or {{text = "%PDF"}}')
    offset = given.get("offset", 0)
    if isinstance(offset, bool) or not isinstance(offset, int) or not 0 <= offset <= MAX_MAGIC_OFFSET:
        raise ValueError(f"{where}: the offset of magic must be from 0 to {MAX_MAGIC_OFFSET}")
    said = given.get("hex", given.get("text"))
    try:
        data = bytes.fromhex(str(said)) if "hex" in given else str(said).encode()
    except ValueError:
        raise ValueError(f"{where}: {str(said)[:40]!r} is not hexadecimal") from None
    if not 2 <= len(data) <= MAX_MAGIC:
        raise ValueError(f"{where}: magic must have from 2 to {MAX_MAGIC} bytes")
    return Magic(data, offset)
