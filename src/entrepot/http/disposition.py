"""Content-Disposition of answers (RFC 6266): names of any script, readable by every client."""

from __future__ import annotations

import re
import unicodedata
from typing import Literal
from urllib.parse import quote

__all__ = ["disposition"]

# Quotes and backslashes end or escape; a percent sign some browsers decode and some do not; a slash may come out of a
# letter that looks like one.
_UNSAFE = re.compile(r'[^ -~]|["\\%/]')
#: What RFC 8187 leaves unescaped beside letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


def disposition(kind: Literal["attachment", "inline"], name: str) -> str:
    """The value of Content-Disposition. Nothing in a name is refused, cut or lost: it was judged when it came in.

    Clients that know `filename*` get the name exactly; the others one in ASCII, with accents dropped and an
    underscore for whatever has no such form. Only the last segment counts: what is saved is one file.
    """
    name = name.rpartition("/")[2]
    plain = _UNSAFE.sub("_", _without_marks(name)).strip()
    if not plain.strip("."):
        plain = "download"
    if plain == name or not name:
        return f'{kind}; filename="{plain}"'
    exact = quote(name, safe=_ATTR_CHARS, errors="replace")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{exact}"


def _without_marks(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
