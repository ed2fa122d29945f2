"""What a file looks like, from its first bytes: text, a table, lines of records, a picture, or nothing but its size.

Nothing of a file ever becomes markup: text is escaped, pictures come from an address of their own under a policy that
lets them do nothing. A preview reads at most 256 KiB, whatever the file's size, and unpacks at most four times that.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["HEAD", "PDF_LIMIT", "PICTURES", "Preview", "preview"]

#: So much of a file is read.
HEAD: Final = 256 << 10
#: Larger documents are not opened in a page: the browser would hold all of what it has seen.
PDF_LIMIT: Final = 32 << 20
_UNPACKED: Final = 1 << 20
_ROWS: Final = 100
_COLUMNS: Final = 60
_CELL: Final = 300
_LINES: Final = 400
_LINE: Final = 2000

#: Pictures that browsers show and that hold no scripts. SVG is text here.
PICTURES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "avif": "image/avif",
}
_MARKDOWN: Final = ("md", "markdown")
_GZIP: Final = b"\x1f\x8b"

Form = Literal["text", "table", "records", "markdown", "picture", "pdf", "large-pdf", "empty", "none"]


@dataclass(frozen=True, slots=True)
class Preview:
    """What is shown of a file.

    Args:
        text: Of `text` and `markdown`; of `table` what stands in the file before its rows.
        columns, rows: Of `table`.
        records: Of `records`: number of the line and the line, laid out if it is JSON.
        whole: Whether that is all of it.
        note: What else a reader should know, such as that it was unpacked.
    """

    form: Form
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    records: Sequence[tuple[int, str]] = ()
    whole: bool = True
    note: str = ""


def preview(path: str, size: int, read: Callable[[int, int], bytes]) -> Preview:
    """The preview of a file.

    Args:
        read: Gives `length` bytes from `offset`.
    """
    if size == 0:
        return Preview("empty")
    name = path.rpartition("/")[2].lower()
    ending = name.rpartition(".")[2] if "." in name else ""
    if ending in PICTURES:
        return Preview("picture")
    if ending == "pdf":
        return Preview("pdf" if size <= PDF_LIMIT else "large-pdf")
    head = read(0, min(size, HEAD))
    whole, note = len(head) == size, ""
    if head.startswith(_GZIP):
        unpacked = _unpacked(head)
        if unpacked is None:
            return Preview("none")
        head, ended = unpacked
        whole = whole and ended
        note = "It is compressed; this is what is inside."
        name = name.removesuffix(".gz").removesuffix(".bgz")
        ending = name.rpartition(".")[2] if "." in name else ""
    text = _text(head, whole)
    if text is None:
        return Preview("none")
    if ending in ("csv", "tsv", "tab"):
        return _table(text, "\t" if ending != "csv" else None, whole, note)
    if ending == "vcf":
        return _variants(text, whole, note)
    if ending in ("fastq", "fq"):
        return _reads(text, whole, note)
    if ending in ("ndjson", "jsonl"):
        return _records(text, whole, note)
    if ending in _MARKDOWN and whole:
        return Preview("markdown", text=text, note=note)
    if ending == "json" and whole:
        text = _laid_out(text)
    return _lines(text, whole, note)


def _unpacked(head: bytes) -> tuple[bytes, bool] | None:
    """The beginning of what is in gzip, of several members too: that is how block gzip is made. And if it is all."""
    out, ended = b"", False
    try:
        while head.startswith(_GZIP) and len(out) < _UNPACKED:
            engine = zlib.decompressobj(wbits=31)
            out += engine.decompress(head, _UNPACKED - len(out))
            head, ended = engine.unused_data, engine.eof
    except zlib.error:
        ended = False
    return (out, ended and not head) if out else None


def _text(head: bytes, whole: bool) -> str | None:
    """The bytes as text; None if they are none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", errors="replace")
    if b"\0" in head:
        return None
    body = head.removeprefix(b"\xef\xbb\xbf")
    try:
        return body.decode()
    except UnicodeDecodeError as wrong:
        # Cut in the middle of a character, which says nothing about the text.
        if not whole and wrong.start >= len(body) - 3:
            return body[: wrong.start].decode()
    control = sum(byte < 9 or 13 < byte < 32 for byte in body[:4096])
    return None if control else body.decode("latin-1")


def _lines(text: str, whole: bool, note: str) -> Preview:
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        # The last one was cut.
        lines.pop()
    shown = [line if len(line) <= _LINE else line[:_LINE] + "…" for line in lines[:_LINES]]
    return Preview("text", text="\n".join(shown), whole=whole and len(lines) <= _LINES, note=note)


def _table(text: str, delimiter: str | None, whole: bool, note: str) -> Preview:
    if delimiter is None:
        try:
            delimiter = csv.Sniffer().sniff(text[:8192], ",;\t|").delimiter
        except csv.Error:
            delimiter = ","
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            if len(rows) > _ROWS + 1:
                break
            rows.append([cell if len(cell) <= _CELL else cell[:_CELL] + "…" for cell in row[:_COLUMNS]])
    except csv.Error:
        return _lines(text, whole, note)
    if not whole and len(rows) <= _ROWS + 1 and len(rows) > 1:
        rows.pop()
    if not rows:
        return _lines(text, whole, note)
    return Preview(
        "table", columns=rows[0], rows=rows[1 : _ROWS + 1], whole=whole and len(rows) <= _ROWS + 1, note=note
    )


def _variants(text: str, whole: bool, note: str) -> Preview:
    """Variants as rows; what is said about the file before them is text beside them."""
    lines = text.splitlines(keepends=True)
    about = next((at for at, line in enumerate(lines) if not line.startswith("##")), len(lines))
    if about == len(lines) or not lines[about].startswith("#CHROM"):
        return _lines(text, whole, note)
    found = _table("".join(lines[about:]).removeprefix("#"), "\t", whole, note)
    return replace(found, text=_lines("".join(lines[:about]), True, "").text)


def _reads(text: str, whole: bool, note: str) -> Preview:
    """Reads of a sequencer, four lines each, as rows; anything else as it is."""
    lines = text.splitlines()
    if not whole and lines:
        lines.pop()
    reads = [lines[at : at + 4] for at in range(0, len(lines) - 3, 4)]
    if not reads or not all(one[0].startswith("@") and one[2].startswith("+") for one in reads):
        return _lines(text, whole, note)
    rows = [[one[0][1 : _CELL + 1], one[1][:_CELL], one[3][:_CELL]] for one in reads[:_ROWS]]
    # Of longer reads their beginning: the file says the rest.
    return Preview(
        "table",
        columns=("Read", "Sequence", "Quality"),
        rows=rows,
        whole=whole and len(reads) <= _ROWS,
        note=note,
    )


def _records(text: str, whole: bool, note: str) -> Preview:
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines.pop()
    shown = [(number, _laid_out(line)) for number, line in enumerate(lines[:_ROWS], 1) if line.strip()]
    return Preview("records", records=shown, whole=whole and len(lines) <= _ROWS, note=note)


def _laid_out(text: str) -> str:
    """JSON with lines and indents; anything else as it is."""
    try:
        told = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text if len(text) <= _LINE else text[:_LINE] + "…"
    return told if len(told) <= 20_000 else told[:20_000] + "…"
