"""The forms in which this client sends files: fields first, then one file, whose bytes are not read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from entrepot.dialects.flow.context import Asked, invalid
from entrepot.http.body import read_all
from entrepot.http.fields import field
from entrepot.http.multipart import MultipartReader, Part, is_multipart
from entrepot.model import ids
from entrepot.model.errors import Malformed, TooLarge, Unsupported
from entrepot.model.ids import Noun

#: Of one field, in bytes. Custom metadata of a sample are fields too.
_MAX_FIELD: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Form:
    """What stands before the file, and the file as a body that is read once.

    Args:
        fields: Each with all its values, in their order.
    """

    fields: Mapping[str, tuple[str, ...]]
    blob: Part
    reader: MultipartReader

    def text(self, name: str) -> str | None:
        """The last value of a field; an empty one is none."""
        found = self.fields.get(name, ())
        return found[-1] or None if found else None

    def flag(self, name: str) -> bool:
        return (self.text(name) or "false").lower() in ("true", "1", "yes", "on")

    async def end(self) -> None:
        """Read what stands behind the file, which is nothing.

        Raises:
            Malformed, ClientGone
        """
        while (part := await self.reader.next()) is not None:
            raise Malformed(f"The form has a part {part.name[:40]!r} behind the file. Fields stand before it.")


@dataclass(frozen=True, slots=True)
class Chunk:
    """What every chunk tells.

    Args:
        filename: As it was sent.
        offset: Where in the file the chunk begins; the client calls it the expected size.
        upload: None on the first chunk.
    """

    filename: str
    offset: int
    is_last: bool
    upload: UUID | None


async def read_form(asked: Asked) -> Form:
    """The fields, up to the file.

    Raises:
        Malformed, Unsupported, TooLarge, Invalid, ClientGone
    """
    content_type = field(asked.scope, b"content-type") or ""
    if not is_multipart(content_type):
        raise Unsupported("Send a form in parts (multipart/form-data), with the file in the part `blob`.")
    reader = MultipartReader(asked.receive, content_type)
    fields: dict[str, tuple[str, ...]] = {}
    while (part := await reader.next()) is not None:
        if part.name == "blob":
            return Form(fields, part, reader)
        try:
            raw = await read_all(part.receive, _MAX_FIELD)
        except TooLarge as long:
            raise invalid({part.name[:100]: [f"This field is longer than {_MAX_FIELD} bytes."]}) from long
        try:
            text = raw.decode()
        except UnicodeDecodeError as wrong:
            raise invalid({part.name[:100]: ["This field is not UTF-8."]}) from wrong
        fields[part.name] = (*fields.get(part.name, ()), text)
    raise invalid({"blob": ["This field is required: the bytes of the chunk, behind all other fields."]})


def chunk_of(form: Form) -> Chunk:
    """The fields of the chunk itself.

    Raises:
        Invalid: Some are missing or wrong; all of them are named.
        NotFound: What is named is no upload.
    """
    wrong: dict[str, list[str]] = {}
    filename, data = form.text("filename"), form.text("data")
    if filename is None:
        wrong["filename"] = ["This field is required."]
    elif data is None and " " in filename:
        wrong["filename"] = ["Spaces in filename"]
    said = form.text("expected_file_size")
    offset = 0
    if said is None:
        wrong["expected_file_size"] = ["This field is required: where in the file the chunk begins."]
    elif not (said.isascii() and said.isdecimal() and len(said) <= 18):
        wrong["expected_file_size"] = [f"{said[:40]!r} is not a number of bytes."]
    else:
        offset = int(said)
    if offset and data is None:
        wrong["data"] = ["Missing chunk: the first chunk begins at 0, later ones name the upload."]
    last = (form.text("is_last") or "").lower()
    if last not in ("true", "false"):
        wrong["is_last"] = ["This field is required: true or false."]
    if wrong:
        raise invalid(wrong)
    return Chunk(filename or "", offset, last == "true", None if data is None else ids.decode(Noun.UPLOAD, data))


def ids_of(form: Form, name: str) -> list[UUID]:
    """The uploads that a repeated field names.

    Raises:
        NotFound
    """
    return [ids.decode(Noun.UPLOAD, one) for one in form.fields.get(name, ()) if one]
