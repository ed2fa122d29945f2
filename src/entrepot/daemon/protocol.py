"""The language of the socket: JSON-RPC 2.0, one message a line, UTF-8. docs/daemon.md has it for other languages.

    client   {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"protocol": 1}}\\n
    daemon   {"jsonrpc": "2.0", "id": 1, "result": {"protocol": 1, "release": "…", "pid": 4711, …}}\\n
    daemon   {"jsonrpc": "2.0", "method": "progress", "params": {"transfer_id": "…", …}}\\n

`hello` comes first. Answers may come in another order than their questions. Batches are not part of it: a line is one
message. What goes wrong in the product has the code -32000 and its word in `data.code`; the other codes are JSON-RPC's.

This module does no input or output, so both ends and the tests of hostile input use the very same rules.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

__all__ = [
    "MAX_LINE",
    "PROTOCOL",
    "Failure",
    "Message",
    "Unreadable",
    "decode",
    "encode",
    "failed",
    "notification",
    "request",
    "result",
]

PROTOCOL = 1
#: A line is refused beyond this. The largest honest one is an upload's custom metadata, which servers hold smaller.
MAX_LINE = 1 << 20

UNREADABLE = -32700
NO_REQUEST = -32600
NO_METHOD = -32601
BAD_PARAMS = -32602
APPLICATION = -32000

#: The word of a protocol failure, for callers that look at words alone.
WORDS = {UNREADABLE: "malformed", NO_REQUEST: "malformed", NO_METHOD: "unsupported", BAD_PARAMS: "invalid"}


class Unreadable(Exception):
    """A line that is no message. `number` is JSON-RPC's, `id` that of the request if one could be seen."""

    def __init__(self, number: int, message: str, request_id: int | str | None = None) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.id = request_id


@dataclass(frozen=True, slots=True)
class Failure:
    """What an answer says went wrong: `code` is a word of the error tree."""

    code: str
    message: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One line. A request has `method` and `id`, a notification `method` alone, an answer `id` and one of the rest."""

    id: int | str | None = None
    method: str | None = None
    params: dict[str, Any] | None = None
    result: Any = None
    failure: Failure | None = None


def encode(message: dict[str, Any]) -> bytes:
    """One line. Newlines inside strings are escaped by JSON itself.

    Bytes of a file name that are no UTF-8 are lone surrogates in Python, which UTF-8 does not have either; JSON has
    them as escapes. So every file of this computer can be named, and whatever was heard can be repeated.

    Raises:
        ValueError, TypeError: A value that JSON does not have, such as NaN or bytes.
    """
    try:
        text = json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def request(request_id: int, method: str, params: dict[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: dict[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def result(request_id: int | str, value: Any) -> bytes:
    return encode({"jsonrpc": "2.0", "id": request_id, "result": value})


def failed(
    request_id: int | str | None, message: str, *, number: int = APPLICATION, data: dict[str, Any] | None = None
) -> bytes:
    told = {"code": WORDS.get(number, "error"), **(data or {})}
    return encode({"jsonrpc": "2.0", "id": request_id, "error": {"code": number, "message": message, "data": told}})


def decode(line: bytes) -> Message:
    """What a line says.

    Raises:
        Unreadable: It is no message of this protocol.
    """
    try:
        content = json.loads(line, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Unreadable(UNREADABLE, "That line is no JSON text in UTF-8. Send one JSON object a line.") from None
    if not isinstance(content, dict):
        raise Unreadable(NO_REQUEST, "A message is one JSON object; batches are not part of this protocol.")
    identity = content.get("id")
    if isinstance(identity, bool) or not isinstance(identity, int | str | None):
        raise Unreadable(NO_REQUEST, "An id is a whole number or a string.")
    if content.get("jsonrpc") != "2.0":
        raise Unreadable(NO_REQUEST, 'Every message has "jsonrpc": "2.0".', identity)
    if "method" in content:
        method, params = content["method"], content.get("params", {})
        if not isinstance(method, str):
            raise Unreadable(NO_REQUEST, "A method is named by a string.", identity)
        if not isinstance(params, dict):
            raise Unreadable(BAD_PARAMS, "Parameters are given by name, in an object.", identity)
        return Message(identity, method, params)
    if "error" in content:
        return Message(identity, failure=_failure(content["error"]))
    if "result" in content:
        return Message(identity, result=content["result"])
    raise Unreadable(NO_REQUEST, "A message has a method, a result or an error.", identity)


def _failure(given: Any) -> Failure:
    if not isinstance(given, dict):
        raise Unreadable(NO_REQUEST, "An error is an object.")
    data = given.get("data")
    facts = data if isinstance(data, dict) else {}
    return Failure(str(facts.get("code", "error")), str(given.get("message", "")), facts)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    """`1e999` is JSON and infinity to Python, which could be stored and never be sent again."""
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(f"{text} is too large")
    return found
