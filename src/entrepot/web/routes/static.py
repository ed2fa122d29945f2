"""Style sheets, scripts and pictures: the same for everybody, kept by browsers for as long as they are the same."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from entrepot.http import conditional
from entrepot.http.conditional import Outcome
from entrepot.http.errors import Answer
from entrepot.http.fields import field
from entrepot.web.context import Asked
from entrepot.web.rendering import ASSETS


async def show(asked: Asked) -> None:
    """One file. Under the address that pages use, which names its content, it never changes."""
    asset = ASSETS.get(asked.found["name"])
    if asset is None:
        raise HTTPException(404)
    named = asked.query.get("v") == asset.tag
    headers = {
        "cache-control": "public, max-age=31536000, immutable" if named else "public, max-age=300",
        "etag": conditional.quoted_etag(asset.tag),
        "vary": "Accept-Encoding",
        "cross-origin-resource-policy": "same-origin",
    }
    if asset.name.endswith(".mjs"):
        # A worker lives by the policy that it came with, not by its page's. It may load more of our scripts.
        headers["content-security-policy"] = "default-src 'none'; script-src 'self'; frame-ancestors 'none'"
    if conditional.evaluate(asked.scope, etag=headers["etag"]) is Outcome.NOT_MODIFIED:
        await asked.answer(Answer(304, headers=headers))
        return
    body = asset.body
    if asset.packed is not None and "gzip" in (field(asked.scope, b"accept-encoding") or ""):
        body, headers["content-encoding"] = asset.packed, "gzip"
        headers["etag"] = conditional.quoted_etag(asset.tag)
    await asked.answer(Answer(200, body, asset.media_type, headers))
