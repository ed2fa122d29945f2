"""Newline-delimited JSON, checked line by line while it streams through, in memory that does not grow with the file.

    feed(block) ──► whole lines in groups ──fast──► good
                                            └─unsure─► each line by itself ──unsure──► the reference: good, or a fault

Lines end with a newline; the last one need not. Blank lines at the end of the file are nobody's fault, elsewhere they
are bad. Items are numbered from 0, lines from 1: item 41 stands in line 42.

Bounds: a line is at most `max_line` bytes, a longer one is refused without being kept; parsed forms of at most one
group of lines, or of one line, exist at a time; of bad lines the first `listed` are told and all are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from entrepot.records import reference
from entrepot.records.fast import GROUP, Fast
from entrepot.records.faults import BadLine, Fault, Reason, excerpt, readable
from entrepot.records.index import IndexWriter

if TYPE_CHECKING:
    from entrepot.records.group import Lengths

#: Bytes of one line. What is parsed of a line can be thirty times its size, so this bounds the memory too.
MAX_LINE: Final = 4 << 20

#: Bad lines that are told; all are counted.
LISTED: Final = 100

#: Parts that a group is judged in where it is not certain as a whole: few lines are judged alone for one that is bad.
_PARTS: Final = 8

#: How files begin that are no text: what they are, and what to do about it.
_FORMATS: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PAR1", "Parquet"),
)
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


class Rule(Protocol):
    """What lines have to be beside JSON objects.

    Attributes:
        certain: Keys of the outside, and expressions (of RE2) of their values as they are written: an object that has
            these is good, whatever else it has. None where only the object itself can tell.
    """

    certain: Mapping[str, bytes] | None

    def fault(self, item: dict[str, Any]) -> str | None:
        """A clause about what is wrong with this item ("has no url."), or None."""
        ...

    def all_good(self, items: Sequence[dict[str, Any]]) -> bool:
        """Whether every one of these is good; asked before anybody asks what is wrong."""
        ...


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a file.

    Args:
        items: Good lines.
        bad: Bad lines, all of them; `listed` holds the first ones.
    """

    items: int
    bad: int
    listed: tuple[BadLine, ...]
    size: int

    @property
    def good(self) -> bool:
        return self.bad == 0


class Check:
    """One file on its way through. Feed its bytes in order, in blocks of any size, then `finish`.

    Args:
        index: Is told where good lines are, as long as there was no bad one.
    """

    def __init__(
        self,
        *,
        rule: Rule | None = None,
        index: IndexWriter | None = None,
        max_line: int = MAX_LINE,
        listed: int = LISTED,
    ) -> None:
        self._rule = rule
        self._index = index
        # What the index can write down.
        self._max_line = min(max_line, 2**32 - 1)
        self._most = listed
        from entrepot.records.group import Lines

        self._lines = Lines.of
        self._fast = Fast(rule)
        self._tail = bytearray()
        #: Where the tail begins.
        self._offset = 0
        self._line = 0
        self._items = 0
        self._bad = 0
        self._listed: list[BadLine] = []
        #: Blank lines that are bad if anything comes behind them: how many, and the first of them.
        self._blank_count = 0
        self._blanks: deque[tuple[int, int]] = deque()
        #: In the middle of a line that is too long: where it began, and its first bytes.
        self._skipping: tuple[int, bytes] | None = None
        self._over = False

    @property
    def bad(self) -> int:
        """Bad lines so far."""
        return self._bad

    def feed(self, block: bytes | bytearray | memoryview) -> None:
        """The next bytes of the file."""
        if self._over:
            self._offset += len(block)
            return
        at_start = self._offset == 0 and self._line == 0 and len(self._tail) < 8
        self._tail += block
        if at_start and not self._looks_like_text():
            return
        self._take(final=False)

    def refuse(self, fault: Fault) -> None:
        """Count a line that could not even be written, where whole lines were fed before."""
        self._no_blanks()
        self._line += 1
        self._fail(self._line, self._offset, fault, b"")

    def finish(self) -> Checked:
        """The end of the file."""
        if not self._over:
            self._take(final=True)
        return Checked(self._items, self._bad, tuple(self._listed), self._offset)

    def _looks_like_text(self) -> bool:
        head = bytes(self._tail[:8])
        for magic, name in _FORMATS:
            if head.startswith(magic):
                self._refuse_file(Reason.COMPRESSED, f"is not text: this is a {name} file. Send it as plain NDJSON.")
                return False
        if head.startswith(_UTF16):
            self._refuse_file(Reason.ENCODING, "is UTF-16. Save the file as UTF-8.")
            return False
        return True

    def _refuse_file(self, reason: Reason, detail: str) -> None:
        self._line = 1
        self._fail(1, 0, Fault(reason, detail, 0), bytes(self._tail[:8]))
        self._offset += len(self._tail)
        self._tail.clear()
        self._over = True

    def _take(self, *, final: bool) -> None:
        """Judge the whole lines that the tail holds; at the end of the file what is left is one too."""
        tail = self._tail
        if self._skipping is not None and not self._skip(final):
            return
        last = tail.rfind(b"\n")
        end = len(tail) if final else last + 1
        start = 0
        while start < end:
            cut = tail.rfind(b"\n", start, min(start + GROUP, end)) + 1
            if not cut:
                # A line that is longer than a group stands by itself.
                cut = tail.find(b"\n", start, end) + 1 or end
            with memoryview(tail) as view:
                text = bytes(view[start:cut])
            self._group(text, self._offset)
            self._offset += len(text)
            start = cut
        del tail[:end]
        if len(tail) > self._max_line:
            self._skipping = (self._offset, bytes(tail[:200]))
            self._line += 1
            self._skip(final)

    def _skip(self, final: bool) -> bool:
        """Pass over a line that is too long; whether its end was found. Nothing of it is kept but its beginning."""
        assert self._skipping is not None
        began, head = self._skipping
        found = self._tail.find(b"\n")
        drop = len(self._tail) if found < 0 else found + 1
        self._offset += drop
        del self._tail[:drop]
        if found < 0 and not final:
            return False
        self._skipping = None
        size = self._offset - began - (found >= 0)
        self._no_blanks()
        fault = Fault(Reason.TOO_LONG, f"has {size} bytes; a line may have {self._max_line}.")
        self._fail(self._line, began, fault, head)
        return True

    def _group(self, text: bytes, offset: int) -> None:
        """Judge lines together, where that is not certain in a few parts, and where it is not in these, one by one."""
        if self._all_good(text, offset):
            return
        step = len(text) // _PARTS
        start = 0
        while start < len(text):
            end = text.find(b"\n", start + step) + 1 or len(text)
            part = text[start:end]
            if len(part) == len(text) or not self._all_good(part, offset + start):
                self._each(part, offset + start)
            start = end

    def _all_good(self, text: bytes, offset: int) -> bool:
        """Count these lines as good ones if all are so for certain."""
        lines = self._lines(text)
        if lines.longest > self._max_line:
            return False
        sure = self._fast.good(lines)
        if sure:
            self._no_blanks()
            self._good(offset, lines.lengths)
        return sure

    def _each(self, text: bytes, offset: int) -> None:
        for line in self._lines(text).each():
            self._one(line, offset)
            offset += len(line) + 1

    def _one(self, line: bytes, offset: int) -> None:
        self._line += 1
        if reference.is_blank(line):
            self._blank_count += 1
            if len(self._blanks) < self._most:
                self._blanks.append((self._line, offset))
            return
        self._no_blanks()
        fault = self._judge(line)
        if fault is None:
            self._line -= 1
            self._good(offset, self._lines(line).lengths)
        else:
            self._fail(self._line, offset, fault, line)

    def _judge(self, line: bytes) -> Fault | None:
        if len(line) > self._max_line:
            return Fault(Reason.TOO_LONG, f"has {len(line)} bytes; a line may have {self._max_line}.")
        # A file of something else altogether has millions of bad lines: these are not worth the attempt.
        items = self._fast.objects(self._lines(line)) if line.lstrip().startswith(b"{") else None
        if items is None:
            fault = reference.examine(line)
            if fault is not None:
                return fault
            items = [reference.parse(line)]
        if self._rule is None:
            return None
        wrong = self._rule.fault(items[0])
        # It names keys of the item, which may be anything.
        return None if wrong is None else Fault(Reason.SCHEMA, readable(wrong))

    def _good(self, offset: int, lengths: Lengths) -> None:
        self._line += len(lengths)
        self._items += len(lengths)
        if self._index is not None and not self._bad:
            self._index.add(offset, lengths)

    def _no_blanks(self) -> None:
        """Something comes behind the blank lines so far: they were bad."""
        if not self._blank_count:
            return
        for line, offset in self._blanks:
            self._fail(line, offset, Fault(Reason.EMPTY, "is empty."), b"")
        self._bad += self._blank_count - len(self._blanks)
        self._blank_count = 0
        self._blanks.clear()

    def _fail(self, line: int, offset: int, fault: Fault, text: bytes) -> None:
        self._bad += 1
        if len(self._listed) < self._most:
            self._listed.append(BadLine(line, offset, fault, excerpt(text, fault.at)))
