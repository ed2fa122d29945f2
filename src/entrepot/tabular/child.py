"""The child process that reads and writes tables: `python -m entrepot.tabular.child`.

    parent ──one request a line, JSON──► standard input
    parent ◄──frames── standard output        a letter, four bytes of length (big endian), so many bytes

    D data   B a part begins   E it is whole   V what was written is void   P progress
    R the answer, which is the last frame   X an error, likewise

It has limits from its first moment, so that nothing that stands in a file or in a query can take more than it may: they
are set here, before anything heavy is imported. It ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from entrepot.tabular.reading import Table

__all__ = ["main"]

_BLOCK: Final = 1 << 20


class Frames:
    """Where answers go."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        # Canonical forms are written by a thread of their own.
        self._lock = threading.Lock()
        self._void: list[_Sink] = []
        self._told = -1

    def send(self, letter: bytes, body: bytes = b"") -> None:
        with self._lock:
            self._out.write(letter + struct.pack(">I", len(body)))
            self._out.write(body)
            self._out.flush()

    def tell(self, letter: bytes, said: Any) -> None:
        self.send(letter, json.dumps(said, ensure_ascii=False).encode("utf-8", "replace"))

    # `Output` of a conversion.

    def begin(self, part: int) -> BinaryIO:
        self.tell(b"B", part)
        sink = _Sink(self)
        self._void.append(sink)
        return sink  # type: ignore[return-value]

    def end(self, part: int, rows: int) -> None:
        self._void[-1].flush_all()
        self._void.clear()
        self.tell(b"E", [part, rows])

    def again(self) -> None:
        # A writer that is thrown away still writes its last page.
        for sink in self._void:
            sink.void = True
        self._void.clear()
        self.send(b"V")

    def progress(self, done: int) -> None:
        if done - self._told >= _BLOCK * 8:
            self._told = done
            self.tell(b"P", done)


class _Sink:
    """A file that is only written to; collects small writes."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._waiting = bytearray()
        self._at = 0
        self.void = False
        self.closed = False

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B")) if not isinstance(data, bytes) else len(data)
        if not self.void:
            self._waiting += data
            if len(self._waiting) >= _BLOCK:
                self.flush_all()
        self._at += size
        return size

    def flush_all(self) -> None:
        if self._waiting and not self.void:
            self._frames.send(b"D", bytes(self._waiting))
            self._waiting.clear()

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _limit(memory: int, cpu_s: int) -> None:
    if memory:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if cpu_s:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    # No dump of other people's data.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with(parent: int) -> None:
    """End soon after whoever asks: a process that sorts for an hour hears of nothing else meanwhile."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(os.EX_TEMPFAIL)

    threading.Thread(target=watch, daemon=True).start()


def _convert(asked: dict[str, Any], frames: Frames) -> Any:
    from entrepot.model.columns import rules_of
    from entrepot.tabular.bytesin import Source
    from entrepot.tabular.convert import convert

    sources = [Source.of(one) for one in asked["sources"]]
    done = convert(sources, rules_of(asked["rules"]), frames)
    if done.rejects.told:
        sink = frames.begin(-1)
        for one in done.rejects.told:
            sink.write(json.dumps(one.as_json(), ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        frames.end(-1, len(done.rejects.told))
    return {
        "good": done.good,
        "columns": [one.as_json() for one in done.columns],
        "rows": done.rows,
        "nulls": done.nulls,
        "notes": done.notes[:200],
        "formats": done.formats,
        "rejects": done.rejects.as_json(asked.get("listed", 100)),
    }


class _Opened:
    """Tables that were asked for lately: most questions come in a row."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, ...], Table] = {}

    def __call__(self, paths: list[str]) -> Table:
        from entrepot.tabular.reading import Table

        key = tuple(paths)
        found = self._tables.pop(key, None)
        if found is None:
            found = Table(paths)
        self._tables[key] = found
        while len(self._tables) > 8:
            self._tables.pop(next(iter(self._tables))).close()
        return found


def _page(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.reading import page

    table = opened(asked["paths"])
    frames.send(
        b"D",
        page(table, first=asked["first"], limit=asked["limit"], columns=asked["columns"], where=asked["where"]),
    )
    return None


def _about(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    table = opened(asked["paths"])
    return {"rows": table.rows, "columns": [one.as_json() for one in table.columns]}


def _export(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.reading import export

    table = opened(asked["paths"])
    sink = frames.begin(0)
    export(table, sink, asked["format"], asked["columns"])
    frames.end(0, table.rows)
    return None


def _items(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.bytesin import Source
    from entrepot.tabular.items import lines

    count = 0
    sink = frames.begin(0)
    for line in lines(Source.of(asked["source"]), asked["format"], most=asked["most"], progress=frames.progress):
        sink.write(line)
        count += 1
    frames.end(0, count)
    return {"rows": count}


def _look(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.model.columns import rules_of
    from entrepot.tabular.bytesin import Source
    from entrepot.tabular.looking import look

    return look(Source.of(asked["source"]), rules_of(asked["rules"]), asked["rows"])


def _statistics(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.asking import statistics

    table = opened(asked["paths"])
    return statistics(table, asked["paths"], asked["columns"], memory=asked["memory"], spill=asked["spill"])


def _difference(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.asking import difference

    old, new = asked["old"], asked["new"]
    return difference(
        (opened(old), old),
        (opened(new), new),
        asked["by"],
        limit=asked["limit"],
        memory=asked["memory"],
        spill=asked["spill"],
    )


def _sort(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.asking import sorted_copy

    table = opened(asked["paths"])
    sink = frames.begin(0)
    sorted_copy(
        table,
        asked["column"],
        descending=asked["descending"],
        sink=sink,
        memory=asked["memory"],
        spill=asked["spill"],
    )
    frames.end(0, table.rows)
    return None


def _query(asked: dict[str, Any], frames: Frames, opened: _Opened) -> Any:
    from entrepot.tabular.asking import query

    frames.tell(b"P", 0)
    sink = frames.begin(0)
    said = query(
        asked["tables"],
        asked["sql"],
        sink=sink,
        limit=asked["limit"],
        memory=asked["memory"],
        arrow=asked.get("arrow", True),
        size=asked.get("size", 64 << 20),
    )
    frames.end(0, said["rows"])
    return said


_Handler = Callable[[dict[str, Any], Frames, _Opened], Any]
_HANDLERS: Final[dict[str, _Handler]] = {
    "about": _about,
    "page": _page,
    "export": _export,
    "items": _items,
    "look": _look,
    "statistics": _statistics,
    "difference": _difference,
    "sort": _sort,
    "query": _query,
    "convert": lambda asked, frames, _opened: _convert(asked, frames),
}


def main() -> None:
    """Answer requests until there are no more.

    The first argument is the address space in bytes, the second the seconds of processor time; 0 is no limit. The third
    is what it will be asked for: what `read` and `query` need is loaded before anybody asks.
    """
    _limit(int(sys.argv[1]), int(sys.argv[2]))
    _end_with(os.getppid())
    # Nothing but frames may go where frames go.
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    frames = Frames(out)
    opened = _Opened()
    if "read" in sys.argv[3:]:
        import entrepot.tabular.reading
    if "query" in sys.argv[3:]:
        import entrepot.tabular.asking  # noqa: F401
    while line := sys.stdin.buffer.readline():
        _answer(json.loads(line), frames, opened)


def _answer(asked: dict[str, Any], frames: Frames, opened: _Opened) -> None:
    from entrepot.model.errors import EntrepotError
    from entrepot.tabular.faults import DAMAGED, is_damage

    try:
        frames.tell(b"R", _HANDLERS[asked["do"]](asked, frames, opened))
    except EntrepotError as error:
        frames.tell(
            b"X", {"code": error.code, "detail": str(error), "errors": error.errors[:1000], "details": error.details}
        )
    except MemoryError:
        frames.tell(b"X", {"code": "too_large", "detail": "This needs more memory than a table may take here."})
    except Exception as error:
        if is_damage(error):
            frames.tell(b"X", {"code": "corrupt", "detail": DAMAGED})
            return
        said = f"{type(error).__name__}: {str(error)[:500]}"
        out_of_memory = "Out of memory" in said or "ArrowMemoryError" in said or "OutOfMemory" in said
        code = "too_large" if out_of_memory else "unavailable"
        frames.tell(b"X", {"code": code, "detail": f"The table could not be read: {said}"})


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        main()
