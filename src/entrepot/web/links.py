"""Addresses of our own pages, and the rule that a browser is never led anywhere else."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

from entrepot.model import ids
from entrepot.model.ids import Noun
from entrepot.model.values import Version

__all__ = ["HOME", "local", "project", "to", "version"]

HOME: Final = "/ui/"
#: A path below ours. No backslash, which browsers read as a slash, and nothing that is not printable ASCII: tabs and
#: line ends vanish from addresses, and what is left of them may begin with two slashes.
_LOCAL = re.compile(r"/ui(?:[/?][!-\[\]-~]*)?", re.ASCII)


def local(path: str | None) -> str:
    """The path, if it is one of this door; else its first page. No way on is trusted, wherever it came from."""
    if path is None or len(path) > 4096 or _LOCAL.fullmatch(path) is None:
        return HOME
    return path


def to(path: str, /, **query: object) -> str:
    """A path with a query, of which None and empty texts are left out."""
    given = {name: str(value) for name, value in query.items() if value is not None and value != ""}
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def version(one: Version, page: str = "", /, **query: object) -> str:
    """The address of a version's page."""
    base = f"/ui/versions/{ids.encode(Noun.VERSION, one.uid)}"
    return to(f"{base}/{page}" if page else base, **query)


def project(slug: str, page: str = "", /, **query: object) -> str:
    base = f"/ui/projects/{quote(slug, safe='')}"
    return to(f"{base}/{page}" if page else base, **query)
