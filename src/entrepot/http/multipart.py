"""Multipart form bodies (RFC 7578), read as a stream: part after part, each as a body of its own.

Some clients wrap the file they upload into a form; Benchling's `upload_file` does so in a PUT, Flow's in every chunk.
What is stored is the part, not the envelope. A part is offered as an ASGI `receive`, so `pump` and `read_all` read it
like any other body, and a client that leaves in the middle of it is one that leaves in the middle of a body.

Bounds: one message of the server at a time, heads and text around the parts below 16 KiB each, 100 parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import Message, Receive

from entrepot.http.body import ClientGone
from entrepot.model.errors import Malformed, Unsupported

__all__ = ["MultipartReader", "Part", "is_multipart", "unwrap_file"]

#: Of a part's head, and of what stands before the first part and behind the last.
_MAX_AROUND: Final = 16 << 10
#: Of a form field that `unwrap_file` passes over.
_MAX_FIELD: Final = 64 << 10
_MAX_PARTS: Final = 100

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_PARAMETER = re.compile(r""";\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;"\s]*)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form.

    Args:
        name: Of the form field.
        filename: As the client wrote it, to be judged by nobody here; None for a field that is no file.
        media_type: As claimed by the client.
        receive: The content as a body. Good until the reader is asked for the next part.
    """

    name: str
    filename: str | None
    media_type: str | None
    receive: Receive


def is_multipart(content_type: str | None) -> bool:
    """Whether this Content-Type is that of a form in parts."""
    return (content_type or "").partition(";")[0].strip().lower() == "multipart/form-data"


class MultipartReader:
    """Reads the parts of one body in order. What is left of a part is passed over when the next one is asked for.

    Raises:
        Malformed: The Content-Type names no usable boundary.
    """

    def __init__(self, receive: Receive, content_type: str) -> None:
        boundary = _parameters(content_type).get("boundary", "")
        if _BOUNDARY.fullmatch(boundary) is None:
            raise Malformed("Content-Type names no boundary for the parts of the form.")
        self._source = receive
        self._delimiter = b"\r\n--" + boundary.encode()
        # The first delimiter has no line before it; with this one it looks like the others.
        self._buffer = b"\r\n"
        self._ended = False
        self._gone = False
        self._open = True
        self._parts = 0

    async def next(self) -> Part | None:
        """The next part, or None behind the last one, when the body has been read to its end.

        Raises:
            Malformed: The body is not a form in parts, or was cut off.
            Unsupported: A part is encoded for mail (base64, quoted-printable).
            ClientGone: The client left before the next part began.
        """
        if not self._open:
            return None
        # Before the first part this passes over the preamble, afterwards over what nobody read of the last part.
        left = 0
        while (block := await self._content()) is not None:
            left += len(block)
            if not self._parts and left > _MAX_AROUND:
                raise Malformed("The body does not begin with the boundary that Content-Type names.")
        if self._gone:
            raise ClientGone(0)
        self._buffer = self._buffer[len(self._delimiter) :]
        await self._at_least(2)
        if self._buffer[:2] == b"--":
            await self._epilogue()
            return None
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise Malformed(f"The form has more than {_MAX_PARTS} parts.")
        head = await self._head()
        disposition = head.get("content-disposition", "")
        parameters = _parameters(disposition)
        if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in parameters:
            raise Malformed(f"Part {self._parts} of the form has no name.")
        if head.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
            raise Unsupported(f"Part {self._parts} of the form is encoded for mail. Send its bytes as they are.")
        filename = _extended(parameters.get("filename*")) or parameters.get("filename")
        return Part(parameters["name"], filename, head.get("content-type"), self._receiver(self._parts))

    def _receiver(self, number: int) -> Receive:
        async def receive() -> Message:
            if number != self._parts:
                raise RuntimeError("a part was read after the next one had been asked for")
            block = await self._content() if self._open else None
            if self._gone:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": block or b"", "more_body": block is not None}

        return receive

    async def _content(self) -> bytes | None:
        """Some bytes before the next delimiter; None when the buffer begins with it, or the client is gone."""
        while True:
            at = self._buffer.find(self._delimiter)
            if at == 0:
                return None
            # A delimiter may straddle two messages: what could be its beginning stays. Mostly nothing could, and then
            # the message passes through as it is, without a copy.
            end = at if at > 0 else self._possible_start()
            if end:
                block = self._buffer if end == len(self._buffer) else self._buffer[:end]
                self._buffer = self._buffer[end:]
                return block
            if not await self._fill():
                return None

    def _possible_start(self) -> int:
        """Where at the end of the buffer a delimiter might begin; its length if nowhere."""
        at = len(self._buffer) - len(self._delimiter) + 1
        while (at := self._buffer.find(b"\r", max(at, 0))) >= 0:
            if self._delimiter.startswith(self._buffer[at:]):
                return at
            at += 1
        return len(self._buffer)

    async def _fill(self) -> bool:
        """Add one message to the buffer; False when the client is gone."""
        if self._ended:
            raise _cut_off()
        message = await self._source()
        if message["type"] != "http.request":
            self._gone = True
            return False
        body: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        self._buffer = self._buffer + body if self._buffer else body
        return True

    async def _at_least(self, count: int) -> None:
        while len(self._buffer) < count:
            if not await self._fill():
                raise ClientGone(0)

    async def _head(self) -> Mapping[str, str]:
        # From behind the boundary: white space, a line break, lines, and an empty line.
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MAX_AROUND:
                break
            await self._at_least(len(self._buffer) + 1)
        if not 0 <= end <= _MAX_AROUND:
            raise Malformed(f"The head of part {self._parts} is longer than {_MAX_AROUND} bytes, or has no end.")
        padding, *lines = self._buffer[:end].split(b"\r\n")
        # The empty line's own break stays: content that is empty begins with the delimiter.
        self._buffer = self._buffer[end + 4 :]
        if padding.strip(b" \t"):
            raise Malformed(f"The boundary before part {self._parts} has something behind it.")
        head: dict[str, str] = {}
        for line in lines:
            name, colon, value = _text(line).partition(":")
            if not colon or name != name.strip():
                raise Malformed(f"The head of part {self._parts} has a line that is no field.")
            head.setdefault(name.lower(), value.strip())
        return head

    async def _epilogue(self) -> None:
        self._open = False
        left = len(self._buffer)
        while not self._ended and left <= _MAX_AROUND:
            self._buffer = b""
            if not await self._fill():
                return
            left += len(self._buffer)
        if left > _MAX_AROUND:
            raise Malformed("The body goes on behind the last part of the form.")


async def unwrap_file(receive: Receive, content_type: str) -> Part:
    """The one file in a form, wherever it stands among fields, which are passed over.

    The part's content ends only after the rest of the form was read and found to hold no second file, so whoever has
    read it to its end knows that the form was whole.

    Raises:
        Malformed: There is no file, or not just one, or the body is not a form in parts. At first or while reading.
        Unsupported: A part is encoded for mail.
    """
    reader = MultipartReader(receive, content_type)
    part = await _next_file(reader)
    if part is None:
        raise Malformed("The form has no file: a part with a filename.")
    content = part.receive

    async def last() -> Message:
        message = await content()
        if message.get("more_body", False) or message["type"] != "http.request":
            return message
        try:
            second = await _next_file(reader)
        except ClientGone:
            # To whoever reads the file, a form without its end is a body without its end.
            return {"type": "http.disconnect"}
        if second is not None:
            raise Malformed("The form has more than one file. Send one in a request.")
        return message

    return Part(part.name, part.filename, part.media_type, last)


async def _next_file(reader: MultipartReader) -> Part | None:
    while (part := await reader.next()) is not None and part.filename is None:
        passed = 0
        while (message := await part.receive()).get("more_body", False):
            passed += len(message["body"])
            if passed > _MAX_FIELD:
                raise Malformed(f"The form's field {part.name[:40]!r} is longer than {_MAX_FIELD} bytes.")
    return part


def _cut_off() -> Malformed:
    return Malformed("The form ends before its closing boundary.")


def _text(raw: bytes) -> str:
    # Browsers and most libraries send UTF-8 without saying so; what is not, some send as Latin-1.
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _parameters(value: str) -> dict[str, str]:
    """The parameters of a field value. Of the escapes only that of the quote is one: others are Windows paths."""
    found: dict[str, str] = {}
    for name, text in _PARAMETER.findall(value):
        if text.startswith('"'):
            text = text[1:-1].replace('\\"', '"')
        found.setdefault(name.lower(), text)
    return found


def _extended(value: str | None) -> str | None:
    """A value in the form of RFC 8187, such as `UTF-8''na%C3%AFve.csv`; None if it is not in that form."""
    charset, _, rest = (value or "").partition("'")
    text = rest.partition("'")[2]
    if charset.lower() not in ("utf-8", "iso-8859-1") or not text:
        return None
    try:
        return unquote_to_bytes(text).decode(charset)
    except UnicodeDecodeError:
        return None
