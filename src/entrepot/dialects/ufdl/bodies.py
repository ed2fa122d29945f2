"""Small bodies: JSON, and forms for the same actions, as names and values; and the reading of single fields.

What is wrong with fields is gathered, one list of sentences each, and told together in the shape that the clients'
framework gave it: `{"name": ["This field is required."]}`. The sentences are those that its users know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from entrepot.http.body import parse_json, read_all
from entrepot.http.fields import field
from entrepot.model.errors import Invalid, Malformed, Unsupported

__all__ = ["Body", "Fields", "invalid", "not_unique", "read", "read_value"]

Body: TypeAlias = Mapping[str, Any]

#: Fields of a form; more are an attack on whoever counts them.
_MAX_FIELDS: Final = 1000
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})
_MAX_KEY: Final = 2**63 - 1


async def read(scope: Scope, receive: Receive, limit: int, depth: int) -> Body:
    """The body's names and values; no body at all has none.

    Raises:
        Malformed, Invalid: It cannot be read, or is something else than an object.
        Unsupported: It is of a type that is not read here.
        TooLarge
    """
    raw = await read_all(receive, limit)
    if not raw.strip():
        return {}
    given = field(scope, b"content-type") or "application/json"
    type_ = given.partition(";")[0].strip().lower()
    if type_ == "application/json" or type_.endswith("+json"):
        value = _parsed(raw, depth)
        if not isinstance(value, dict):
            said = f"Invalid data. Expected a dictionary, but got {type(value).__name__}."
            raise invalid({"non_field_errors": [said]})
        return value
    if type_ == "application/x-www-form-urlencoded":
        return _of_pairs(_urlencoded(raw))
    if type_ == "multipart/form-data":
        return _of_pairs(_multipart(raw, given))
    raise Unsupported(f'Unsupported media type "{type_[:80]}" in request.')


async def read_value(receive: Receive, limit: int, depth: int) -> Any:
    """A body that is JSON whatever its type says; None if there is none."""
    raw = await read_all(receive, limit)
    return _parsed(raw, depth) if raw.strip() else None


def _parsed(raw: bytes, depth: int) -> Any:
    try:
        return parse_json(raw, depth=depth)
    except Malformed as error:
        raise Malformed(f"JSON parse error - {error.message}") from error


def _urlencoded(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError as error:
        raise Malformed("The form cannot be read. Send name=value&name=value in UTF-8, or JSON.") from error


def _multipart(raw: bytes, type_: str) -> list[tuple[str, str]]:
    # Two megabytes of every answering process, for what hardly anybody sends: taken only then.
    from email.parser import BytesParser
    from email.policy import HTTP

    head = b"Content-Type: " + type_.encode("latin-1") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + raw)
    pairs: list[tuple[str, str]] = []
    try:
        for part in message.iter_parts():
            name, payload = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            if not isinstance(name, str) or not isinstance(payload, bytes) or len(pairs) >= _MAX_FIELDS:
                raise Malformed("The form has a part without a name, or too many of them. Send JSON.")
            pairs.append((name, payload.decode()))
    except (UnicodeDecodeError, AttributeError, KeyError, ValueError) as error:
        raise Malformed("The form cannot be read. Send its fields in UTF-8, or JSON.") from error
    if not pairs:
        raise Malformed("The form has no parts. Send its boundary in Content-Type, or JSON.")
    return pairs


def _of_pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        before = found.get(name)
        found[name] = value if name not in found else [*before, value] if isinstance(before, list) else [before, value]
    return found


def invalid(faults: Mapping[str, Sequence[str]]) -> Invalid:
    """The error of these fields, answered as they are here."""
    name, said = next(iter(faults.items()))
    return Invalid(f"{name}: {said[0]}", details={"fields": {name: list(said) for name, said in faults.items()}})


def not_unique(*fields: str) -> Invalid:
    return invalid({"non_field_errors": [f"The fields {', '.join(fields)} must make a unique set."]})


class Fields:
    """The fields of one body: each is asked for by its type, what is wrong is gathered, and `check` raises it.

    Args:
        partial: Nothing is required: what is not there is None and stays as it is.
    """

    def __init__(self, body: Body, *, partial: bool = False) -> None:
        self._body = body
        self._partial = partial
        self.faults: dict[str, list[str]] = {}

    def check(self) -> None:
        """
        Raises:
            Invalid: Something is wrong with some field.
        """
        if self.faults:
            raise invalid(self.faults)

    def wrong(self, name: str, said: str) -> None:
        self.faults.setdefault(name, []).append(said)

    def text(
        self, name: str, *, most: int | None = None, blank: bool = False, default: str | None = None, trim: bool = True
    ) -> str | None:
        """A text; without one, None where that is fine, and `default` where one is given.

        Numbers are taken as what they are written as, since forms and shells make no difference.
        """
        if name not in self._body:
            found: str | None = self._absent(name, default)
            return found
        value = self._body[name]
        if value is None:
            self.wrong(name, "This field may not be null.")
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.wrong(name, "Not a valid string.")
            return None
        text = str(value).strip() if trim else str(value)
        if not text and not blank:
            self.wrong(name, "This field may not be blank.")
            return None
        if most is not None and len(text) > most:
            self.wrong(name, f"Ensure this field has no more than {most} characters.")
            return None
        return text

    def _absent(self, name: str, default: Any) -> Any:
        if self._partial:
            return None
        if default is None:
            self.wrong(name, "This field is required.")
        return default

    def flag(self, name: str, *, default: bool | None = None) -> bool | None:
        """True or false, also as a text."""
        if name not in self._body:
            found: bool | None = self._absent(name, default)
            return found
        value = self._body[name]
        text = str(value).lower() if isinstance(value, str | int) else ""
        if value is None:
            self.wrong(name, "This field may not be null.")
        elif text in _TRUE:
            return True
        elif text in _FALSE:
            return False
        else:
            self.wrong(name, "Must be a valid boolean.")
        return None

    def key(self, name: str) -> int | None:
        """The number of something else, also as a text. Whether there is such a thing is asked elsewhere."""
        if name not in self._body:
            self._absent(name, None)
            return None
        value = self._body[name]
        if value is None:
            self.wrong(name, "This field may not be null.")
            return None
        text = str(value)
        if isinstance(value, bool) or not isinstance(value, int | str) or not _is_whole(text):
            self.wrong(name, f"Incorrect type. Expected pk value, received {_kind(value)}.")
            return None
        if not 0 < int(text) <= _MAX_KEY:
            self.unknown_key(name, text)
            return None
        return int(text)

    def unknown_key(self, name: str, key: object) -> None:
        self.wrong(name, f'Invalid pk "{str(key)[:20]}" - object does not exist.')


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 40


def _kind(value: object) -> str:
    return "str" if isinstance(value, str) else type(value).__name__
