"""An index that is not this file's, or not an index, gives no lines."""

from __future__ import annotations

import pytest

from entrepot.model.errors import Corrupt
from entrepot.records.group import Lines
from entrepot.records.index import Index, IndexWriter, Span, take


def index_of(*lines: bytes) -> bytes:
    writer = IndexWriter()
    writer.add(0, Lines.of(b"\n".join(lines)).lengths)
    return writer.finish(sum(map(len, lines)) + len(lines))


def test_bytes_that_are_no_index_are_refused() -> None:
    good = index_of(b"{}", b'{"a":1}')
    for bad in (b"", good[:-1], good[1:], good[:-5] + b"x" + good[-4:], b"x" + good):
        with pytest.raises(Corrupt):
            Index(lambda at, n, bad=bad: bad[at : at + n], len(bad))


def test_a_changed_body_is_found_by_verifying() -> None:
    good = index_of(b"{}", b'{"a":1}')
    bad = b"\x01" + good[1:]
    assert Index(lambda at, n: bad[at : at + n], len(bad)).verify([bad[:7], bad[7:]]) is False


@pytest.mark.parametrize("span", [Span(0, 3), Span(1, 1), Span(0, 1), Span(3, 9), Span(3, 2), Span(0, 5)])
def test_a_place_without_line_ends_around_it_is_refused(span: Span) -> None:
    data = b"{}\n[]\n{}"
    assert take(lambda at, n: data[at : at + n], len(data), [Span(3, 2)]) == [b"[]"]
    if span != Span(3, 2):
        with pytest.raises(Corrupt):
            take(lambda at, n: data[at : at + n], len(data), [span])
