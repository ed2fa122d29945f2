"""What the OpenAPI document says of the routes of bytes, which the framework does not know."""

from __future__ import annotations

from typing import Any, Final

from entrepot.wire.frames import MEDIA_TYPE

_JSON: Final = "application/json"
_BYTES: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
#: Whatever type the entry has.
_ANY: Final = {"*/*": _BINARY}
_ARCHIVE: Final = dict.fromkeys(("application/zip", "application/x-tar", "application/gzip"), _BINARY)
_PARTS: Final = {"multipart/byteranges": _BINARY}
_TUS_BYTES: Final = {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def _parameter(where: str, name: str, about: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    return {"in": where, "name": name, "description": about, "required": required, "schema": schema}


_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
_VERSION = _parameter("path", "version", "`ver_…`", _TEXT, required=True)
_PATH = _parameter("path", "path", "The entry's path; slashes may stand as they are.", _TEXT, required=True)
_UPLOAD = _parameter("path", "upload", "`up_…`", _TEXT, required=True)
_REVISION = _parameter("query", "revision", "Left out: the newest.", {"type": "integer", "minimum": 0})
_EXPECTED = _parameter("query", "expected", "The revision that the caller saw; 409 when stale.", _NUMBER)
_MESSAGE = _parameter("query", "message", "What the revision says of itself.", _TEXT)
_RANGE = _parameter("header", "Range", "One range of bytes or several.", _TEXT)
_IF_MATCH = _parameter("header", "If-Match", "Entity tags, or `*` for anything that is there.", _TEXT)
_IF_NONE_MATCH = _parameter("header", "If-None-Match", "Entity tags, or `*` for nothing that is there.", _TEXT)
_DIGEST = _parameter("header", "Repr-Digest", "`sha-256=:…:`; compared before anything counts.", _TEXT)
_TUS = _parameter("header", "Tus-Resumable", "The version of the protocol.", {"const": "1.0.0"}, required=True)
_CHECKSUM = _parameter("header", "Upload-Checksum", "Algorithm and base64 digest of this body.", _TEXT)


def _field(about: str, schema: dict[str, Any] = _TEXT) -> dict[str, Any]:
    return {"description": about, "schema": schema}


_SPOKEN = {"Tus-Resumable": _field("The version of the protocol.")}
_OFFSET = {**_SPOKEN, "Upload-Offset": _field("Where the sender goes on.", _NUMBER)}
_EXPIRES = {"Upload-Expires": _field("When the upload is given up, as an HTTP date.")}

_CONTENT_HEADERS = {
    "ETag": _field("Strong: made of the SHA-256."),
    "Repr-Digest": _field("SHA-256 of the whole content."),
    "Entrepot-Version": _field("`ver_…`"),
    "Entrepot-Revision": _field("The revision that the bytes are of.", _NUMBER),
}


def _answer(about: str, content: dict[str, Any] | None = None, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": about}
    if content is not None:
        answer["content"] = content
    if headers is not None:
        answer["headers"] = headers
    return answer


def _message(name: str) -> dict[str, Any]:
    return {_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _reading(summary: str, *parameters: dict[str, Any], of: dict[str, Any]) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": [*parameters, _RANGE, _IF_MATCH, _IF_NONE_MATCH],
        "responses": {
            "200": _answer("The whole content.", of, _CONTENT_HEADERS),
            "206": _answer("The ranges that were asked for.", {**of, **_PARTS}, _CONTENT_HEADERS),
            "304": _answer("The client has it already."),
            "412": _answer("The conditions do not hold. There is no body."),
            "416": _answer("None of the ranges has a byte in the content."),
        },
    }


def _tagged(tag: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        method: {"tags": [tag], "operationId": f"{method}_{operation.pop('name')}", **operation}
        for method, operation in item.items()
    }


_FORMAT = _parameter(
    "query", "format", "How the archive is made.", {"enum": ["zip", "tar", "tar.gz"], "default": "zip"}
)
_PREFIX = _parameter("query", "prefix", "Only this folder.", _TEXT)

_FILE = (_VERSION, _PATH, _REVISION)
_DIRECT = _parameter(
    "query",
    "direct",
    "Rather be sent to the store that has the bytes, if it has addresses; who asks compares the digest by itself.",
    {"type": "boolean"},
)


def _sent_on(operation: dict[str, Any]) -> dict[str, Any]:
    operation["responses"]["307"] = _answer(
        "With `direct`: they are at this address, for minutes; it is a secret.",
        headers={
            "Location": _field("Takes GET and ranges, and needs no credentials."),
            "Repr-Digest": _field("Of all."),
        },
    )
    return operation


BYTE_PATHS: Final[dict[str, dict[str, Any]]] = {
    "/api/v1/versions/{version}/files/{path}": _tagged(
        "files",
        {
            "get": {"name": "file", **_sent_on(_reading("The bytes of an entry", *_FILE, _DIRECT, of=_ANY))},
            "head": {"name": "file", **_reading("The head of an entry", _VERSION, _PATH, _REVISION, of=_ANY)},
            "put": {
                "name": "file",
                "summary": "The body becomes the entry: one revision",
                "description": (
                    "When the same bytes are there already, described in the same way, nothing is changed and the "
                    "answer has the revision that there is: a request can be sent again after a lost answer."
                ),
                "parameters": [
                    _VERSION,
                    _PATH,
                    _parameter("query", "data_type", "From the registry of types.", _TEXT),
                    _parameter("query", "metadata", "The entry's text; left out: what is there stays.", _TEXT),
                    _EXPECTED,
                    _MESSAGE,
                    _IF_MATCH,
                    _IF_NONE_MATCH,
                    _DIGEST,
                ],
                "requestBody": {"content": _BYTES, "required": False},
                "responses": {
                    "200": _answer("The entry was replaced.", _message("Committed")),
                    "201": _answer("The path is new.", _message("Committed")),
                },
            },
            "delete": {
                "name": "file",
                "summary": "Take an entry away, or with `recursive` a folder: one revision",
                "parameters": [
                    _VERSION,
                    _PATH,
                    _parameter("query", "recursive", "The path is a folder.", {"type": "boolean"}),
                    _EXPECTED,
                    _MESSAGE,
                    _IF_MATCH,
                ],
                "responses": {"200": _answer("It is gone.", _message("Committed"))},
            },
        },
    ),
    "/api/v1/versions/{version}/archive": _tagged(
        "files",
        {
            "get": {
                "name": "archive",
                **_reading("A revision as one archive", _VERSION, _FORMAT, _REVISION, _PREFIX, of=_ARCHIVE),
            },
            "head": {
                "name": "archive",
                **_reading("The head of an archive", _VERSION, _FORMAT, _REVISION, _PREFIX, of=_ARCHIVE),
            },
        },
    ),
    "/api/v1/uploads": _tagged(
        "uploads",
        {
            "put": {
                "name": "upload",
                "summary": "An upload as one body, finished at once",
                "parameters": [
                    _parameter("query", "filename", "What the sender calls it.", _TEXT),
                    _parameter("query", "media_type", "Its type.", _TEXT),
                    _parameter("query", "project", "Where it is meant for; its allocation is looked at.", _TEXT),
                    _DIGEST,
                ],
                "requestBody": {"content": _BYTES, "required": False},
                "responses": {"201": _answer("A commit may refer to it.", _message("Upload"))},
            },
            "post": {
                "name": "upload",
                "summary": "tus: begin an upload, or make one of its parts",
                "parameters": [
                    _TUS,
                    _parameter("header", "Upload-Length", "Bytes of the whole.", _NUMBER),
                    _parameter("header", "Upload-Defer-Length", "The length comes later.", {"const": "1"}),
                    _parameter("header", "Upload-Metadata", "Keys, each with a base64 value.", _TEXT),
                    _parameter("header", "Upload-Concat", "`partial`, or `final;` and addresses of parts.", _TEXT),
                    _CHECKSUM,
                ],
                "requestBody": {"content": _TUS_BYTES, "required": False},
                "responses": {
                    "201": _answer(
                        "It has begun.",
                        headers={**_OFFSET, **_EXPIRES, "Location": _field("The upload's address, without a host.")},
                    ),
                    "460": _answer("The bytes are not the announced ones.", headers=_SPOKEN),
                },
            },
            "options": {
                "name": "uploads",
                "summary": "tus: what this server can do",
                "security": [],
                "responses": {
                    "204": _answer(
                        "What it can do.",
                        headers={
                            **_SPOKEN,
                            "Tus-Version": _field("Versions of the protocol."),
                            "Tus-Extension": _field("Extensions, with commas."),
                            "Tus-Checksum-Algorithm": _field("Algorithms, with commas."),
                            "Tus-Max-Size": _field("The largest upload, if there is a limit.", _NUMBER),
                        },
                    )
                },
            },
        },
    ),
    "/api/v1/packs": _tagged(
        "uploads",
        {
            "put": {
                "name": "pack",
                "summary": "Many small files as one body: all of them or none",
                "parameters": [
                    _parameter("query", "project", "Where they are meant for; its allocation is looked at.", _TEXT),
                    _parameter("header", "Prefer", "`return=minimal`: the answer tells of no file.", _TEXT),
                ],
                "requestBody": {"content": {MEDIA_TYPE: _BINARY}, "required": True},
                "responses": {
                    "201": _answer("A commit may refer to each by the upload and its digest.", _message("Packed")),
                },
            },
        },
    ),
    "/api/v1/uploads/{upload}": _tagged(
        "uploads",
        {
            "head": {
                "name": "upload",
                "summary": "tus: where to go on",
                "parameters": [_UPLOAD, _TUS],
                "responses": {
                    "200": _answer(
                        "The upload is there.",
                        headers={
                            **_OFFSET,
                            **_EXPIRES,
                            "Upload-Length": _field("Bytes of the whole, if known.", _NUMBER),
                            "Upload-Defer-Length": _field("`1` while the length is not known."),
                            "Upload-Metadata": _field("As it was sent."),
                            "Upload-Concat": _field("As it was sent."),
                        },
                    )
                },
            },
            "patch": {
                "name": "upload",
                "summary": "tus: bytes at an offset; the last one finishes the upload",
                "parameters": [
                    _UPLOAD,
                    _TUS,
                    _parameter("header", "Upload-Offset", "Where these bytes begin.", _NUMBER, required=True),
                    _parameter("header", "Upload-Length", "Bytes of the whole, if that was deferred.", _NUMBER),
                    _CHECKSUM,
                ],
                "requestBody": {"content": _TUS_BYTES, "required": False},
                "responses": {
                    "204": _answer("They are here.", headers={**_OFFSET, **_EXPIRES}),
                    "460": _answer("The bytes are not the announced ones.", headers=_SPOKEN),
                },
            },
            "delete": {
                "name": "upload",
                "summary": "tus: end an upload and free its space",
                "parameters": [_UPLOAD, _TUS],
                "responses": {"204": _answer("It is gone.", headers=_SPOKEN)},
            },
        },
    ),
}
