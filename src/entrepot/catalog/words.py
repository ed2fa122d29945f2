"""Numbers for words that repeat in millions of entries: media types and data types.

Rows of `word` are only ever added, so a number once seen committed is good for the life of the process. It is cached
beside the engines, not in the module: two catalogues in one process have different numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, bindparam, select

from entrepot.catalog import bulk
from entrepot.catalog.schema import word
from entrepot.catalog.transaction import after_commit, writing

__all__ = ["Words", "word_ids", "word_texts"]


class Words:
    """What is known to be committed, both ways."""

    __slots__ = ("ids", "texts")

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.texts: dict[int, str] = {}

    def learn(self, found: Mapping[str, int]) -> None:
        for text, number in found.items():
            self.ids[text] = number
            self.texts[number] = text


_BY_TEXT = select(word.c.text, word.c.id).where(word.c.text.in_(bindparam("texts", expanding=True)))
_BY_ID = select(word.c.text, word.c.id).where(word.c.id.in_(bindparam("ids", expanding=True)))


def _words(conn: Connection) -> Words:
    words: Words = conn.get_execution_options()["entrepot_words"]
    return words


def word_ids(conn: Connection, texts: Iterable[str | None]) -> dict[str | None, int | None]:
    """The number of each text, None for None; unknown ones are written down in this transaction."""
    words = _words(conn)
    known: dict[str | None, int | None] = {None: None}
    missing: set[str] = set()
    for text in texts:
        if text is None:
            continue
        number = words.ids.get(text)
        if number is None:
            missing.add(text)
        else:
            known[text] = number
    if not missing:
        return known
    found = _select_by_text(conn, missing)
    new = sorted(missing - found.keys())
    if new:
        # Sorted, so that two transactions with the same new words wait for each other instead of deadlocking.
        bulk.insert_ignore(conn, word, [{"text": text} for text in new])
        found |= _select_by_text(conn, new)
    # Not before the commit: the rows may still be rolled back.
    after_commit(conn, lambda: words.learn(found))
    known.update(found)
    return known


def word_texts(conn: Connection, ids: Iterable[int | None]) -> Mapping[int, str]:
    """The text of each number; `conn` reads committed rows or is the transaction that wrote them."""
    words = _words(conn)
    texts = words.texts
    missing = {number for number in ids if number is not None and number not in texts}
    if not missing:
        return texts
    found = {row.text: row.id for row in conn.execute(_BY_ID, {"ids": sorted(missing)})}
    if not writing(conn):
        words.learn(found)
        return texts
    return texts | {number: text for text, number in found.items()}


def _select_by_text(conn: Connection, texts: Collection[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    ordered = sorted(texts)
    for start in range(0, len(ordered), 500):
        rows = conn.execute(_BY_TEXT, {"texts": ordered[start : start + 500]})
        found.update({row.text: row.id for row in rows})
    return found
