"""The entries of a revision as a transfer needs them: where, how many bytes, which ones.

The server tells more of each, and times above all take long to read: of ten thousand entries, as long as fetching them.
"""

from __future__ import annotations

from collections.abc import Iterator

from entrepot.client.transport import Transport, segment
from entrepot.wire.messages.base import Answer

__all__ = ["Listed", "ListedPage", "listed_pages"]

#: Entries a request.
_PAGE = 1000


class Listed(Answer):
    """One entry. `sha256` is `sha256:<hex>`."""

    path: str
    size: int
    sha256: str


class ListedPage(Answer):
    rows: list[Listed]
    next: str | None = None


def listed_pages(
    transport: Transport, version: str, revision: int | None, *, prefix: str | None = None
) -> Iterator[list[Listed]]:
    """Page by page, in path order.

    Args:
        revision: None is the newest at the first page; later ones stay with it.
        prefix: Only what is below this folder, which ends with a slash.
    """
    asked = {"revision": revision, "prefix": prefix}
    for page in transport.pages(f"/versions/{segment(version)}/entries", ListedPage, asked, limit=_PAGE):
        yield page.rows
