"""What tables of the SDK take and give beside messages: files, frames of other libraries, columns."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from entrepot.client.statcache import stat_of
from entrepot.client.tree import LocalFile
from entrepot.model import names
from entrepot.model.columns import Column
from entrepot.model.errors import EntrepotError, Invalid, InvalidName, NotFound, Unavailable, Unsupported

__all__ = ["FORMATS", "ColumnLike", "as_parquet", "column_of", "local_file", "needs", "until"]

T = TypeVar("T")

ColumnLike = Column | Mapping[str, Any] | str
"""A column, its JSON form, or its type alone: `"Int"`."""

FORMATS: Mapping[str, Literal["csv", "parquet", "arrow", "ndjson"]] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


def column_of(one: ColumnLike) -> dict[str, Any]:
    if isinstance(one, Column):
        return one.as_json()
    return {"type": one} if isinstance(one, str) else dict(one)


def until(look: Callable[[], T | None], timeout_s: float | None, what: str) -> T:
    """What `look` finds, asked for again and again until it finds something."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause = 0.05
    while (found := look()) is None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise Unavailable(f"{what} after {timeout_s:g} s. Ask again.")
        time.sleep(pause if left is None else min(pause, left))
        pause = min(pause * 1.5, 2.0)
    return found


def needs(package: Literal["pyarrow", "pandas", "polars"]) -> Any:
    try:
        if package == "pandas":
            import pandas

            return pandas
        if package == "polars":
            import polars

            return polars
        import pyarrow
        import pyarrow.ipc

        return pyarrow
    except ImportError as error:
        raise Unsupported(f"This needs {package}, which is not installed here: pip install {package}.") from error


def as_parquet(frame: Any) -> bytes:
    """A frame as Parquet, written by the library that it is of."""
    out = io.BytesIO()
    try:
        if hasattr(frame, "write_parquet"):
            frame.write_parquet(out)
        elif hasattr(frame, "to_parquet"):
            frame.to_parquet(out, index=False)
        elif hasattr(frame, "schema") and hasattr(frame, "to_batches"):
            import pyarrow.parquet

            pyarrow.parquet.write_table(frame, out)
        else:
            raise Invalid(f"{type(frame).__name__} is no frame of pandas or Polars and no table of Arrow.")
    except EntrepotError:
        raise
    except ImportError as error:
        raise Unsupported("Writing frames needs pyarrow, which is not installed here: pip install pyarrow.") from error
    except Exception as error:
        # Their errors are of many classes; what they say is about the frame.
        raise Invalid(f"The frame cannot be written as Parquet: {error}") from error
    return out.getvalue()


def local_file(path: Path) -> LocalFile:
    """The file in the state it is in now, under a name that a table can hold."""
    try:
        seen = stat_of(path.stat())
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    try:
        name = names.file_name(path.name)
    except InvalidName:
        name = f"table{path.suffix if path.suffix.isascii() else '.csv'}"
    return LocalFile(name, path, seen)
