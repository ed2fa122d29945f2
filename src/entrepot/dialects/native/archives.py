"""A whole revision, or a folder of it, as one archive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from starlette.types import Receive, Send

from entrepot.depot import exports
from entrepot.depot.exports import Format
from entrepot.dialects.native import decode
from entrepot.dialects.native.context import Asked
from entrepot.dialects.native.query import Parameters
from entrepot.http.downloads import send_export
from entrepot.model.errors import Invalid

_FORMATS: dict[str, Format] = {name: name for name in get_args(Format)}


async def get(asking: Asked, found: Mapping[str, str], receive: Receive, send: Send) -> None:
    """The archive."""
    key, parameters = decode.version(found["version"]), Parameters(asking.scope)
    wanted, revision = parameters.text("format") or "zip", parameters.revision("revision")
    if wanted not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise Invalid(f"query.format: {wanted[:40]!r} is none of {known}.", errors=[{"at": "query.format"}])
    prefix = parameters.text("prefix") or None
    made = await asking.call(
        lambda depot, actor: exports.export(
            depot, actor, key, format=_FORMATS[wanted], revision=revision, prefix=prefix
        )
    )
    await send_export(asking.scope, receive, send, made, executor=asking.context.executor)
