"""From texts to values, exactly: a value that would be written differently is refused, or stays text.

Each type has two ways. The fast one takes a whole array and answers None when it is not sure; the slow one takes one
text and says what is wrong with it. They agree: what the fast way takes, the slow way takes with the same value.

Two measures. `exact` is for types that were found out: the text must be how the value is written (`007`, `1e5`, `+5`
are texts then). Declared types are read more generously, because their sender said what they mean; the value must
still be exactly what stands there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from entrepot.model.columns import Column, ColumnType
from entrepot.tabular.faults import BadCell
from entrepot.tabular.looks import all_alike, all_plain_integers, all_plain_numbers

__all__ = ["arrow_type", "fast", "fast_float", "in_calendar", "parse", "schema_of", "slow"]

#: The greatest whole number up to which every one is a float of its own.
FLOAT_WHOLE: Final = 2**53

#: Values that are tried before all are.
_HEAD: Final = 64

_ARROW: Final = {
    ColumnType.STRING: pa.string(),
    ColumnType.INT: pa.int64(),
    ColumnType.FLOAT: pa.float64(),
    ColumnType.JSON: pa.string(),
    ColumnType.DATETIME: pa.timestamp("us", "UTC"),
    ColumnType.DATE: pa.date32(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.OBJECT_LINK: pa.string(),
}

_INT = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_EXACT_INT = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_EXACT_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
#: A digit that is no zero, before the exponent.
_SOME = re.compile(r"^[^eE]*[1-9]", re.ASCII)
_NO_NUMBERS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "infinity": math.inf, "-infinity": -math.inf}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATETIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})$"
)
_DATETIME_RE = re.compile(_DATETIME[1:-1], re.ASCII)
_DAYS: Final = (-719_162, 2_932_896)
_MICROSECONDS: Final = (_DAYS[0] * 86_400_000_000, (_DAYS[1] + 1) * 86_400_000_000 - 1)
_NAIVE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+", re.ASCII)


def arrow_type(column: Column) -> pa.DataType:
    """How Parquet and Arrow hold the column."""
    inner = _ARROW[column.type]
    return pa.list_(inner) if column.list else inner


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Every field may be null: whether one is can only be said at the end, and stands in the table's own columns."""
    return pa.schema([pa.field(str(one.name), arrow_type(one)) for one in columns])


# --- one text ---------------------------------------------------------------------------------------------------------


def parse(column: Column, text: str, *, exact: bool = False) -> Any:
    """The value that a text is in a column, as Python has it.

    Raises:
        BadCell: It is none.
    """
    if column.list:
        return _parse_list(column, text)
    return _PARSERS[column.type](text, exact)


def _string(text: str, _exact: bool) -> str:
    return text


def _int(text: str, exact: bool) -> int:
    if not (_EXACT_INT if exact else _INT).fullmatch(text):
        raise BadCell("type", "is no whole number")
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise BadCell("range", "does not fit into 64 bits")
    return value


def _float(text: str, exact: bool) -> float:
    if not exact and text.lower() in _NO_NUMBERS:
        return _NO_NUMBERS[text.lower()]
    if not (_EXACT_FLOAT if exact else _FLOAT).fullmatch(text):
        raise BadCell("type", "is no number")
    value = float(text)
    if math.isinf(value) or (not value and _SOME.search(text)):
        raise BadCell("range", "does not fit into a 64-bit float")
    if exact and ((text.startswith("-") and not value) or Decimal(text) != Decimal(repr(value))):
        raise BadCell("precision", "has more digits than a 64-bit float holds")
    if exact and "." not in text and abs(value) > FLOAT_WHOLE:
        # A number of a thing, not a measure: the next one would be the same float.
        raise BadCell("precision", "is a whole number beyond those that a float tells apart")
    return value


def _boolean(text: str, exact: bool) -> bool:
    said = text if exact else text.lower()
    if said not in ("true", "false"):
        raise BadCell("type", "is neither true nor false")
    return said == "true"


def _date(text: str, _exact: bool) -> date:
    if not _DATE.fullmatch(text):
        raise BadCell("type", "is no date (YYYY-MM-DD)")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadCell("type", "is no day of the calendar") from None


def _datetime(text: str, _exact: bool) -> datetime:
    if not _DATETIME_RE.fullmatch(text):
        if _NAIVE.fullmatch(text):
            raise BadCell("zone", "has no time zone; write Z or an offset such as +02:00")
        raise BadCell("type", "is no time (YYYY-MM-DDThh:mm:ss with Z or an offset)")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadCell("type", "is no time of the calendar") from None


def _json(text: str, exact: bool) -> str:
    if exact and text[:1] not in ("{", "["):
        raise BadCell("type", "is neither a JSON object nor a list")
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadCell("json", f"is no JSON ({str(error)[:100]})") from None
    return text


def _link(text: str, _exact: bool) -> str:
    if not text.strip():
        raise BadCell("type", "names nothing")
    return text


_PARSERS: Final[dict[ColumnType, Callable[[str, bool], Any]]] = {
    ColumnType.STRING: _string,
    ColumnType.INT: _int,
    ColumnType.FLOAT: _float,
    ColumnType.JSON: _json,
    ColumnType.DATETIME: _datetime,
    ColumnType.DATE: _date,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.OBJECT_LINK: _link,
}


def _parse_list(column: Column, text: str) -> list[Any]:
    """A list stands in its cell as JSON; numbers in it keep their text until their type reads them."""
    try:
        found = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise BadCell("list", "is no list; write it as JSON, such as [1, 2]") from None
    if not isinstance(found, list):
        raise BadCell("list", "is no list; write it as JSON, such as [1, 2]")
    values = []
    for one in found:
        if one is None:
            raise BadCell("list", "has an empty place in its list")
        if column.type is ColumnType.JSON:
            values.append(json.dumps(one, ensure_ascii=False))
            continue
        text = str(one).lower() if isinstance(one, bool) else one if isinstance(one, str) else json.dumps(one)
        values.append(_PARSERS[column.type](text, False))
    return values


# --- whole arrays -----------------------------------------------------------------------------------------------------


def fast(kind: ColumnType, texts: pa.StringArray) -> pa.Array | None:
    """All the texts as values of a type if each is written as `exact` wants it; None when that is not certain."""
    try:
        # Arrow takes its time to fail over a whole array; most that fail do so at once.
        if len(texts) > _HEAD and _FAST[kind](texts.slice(0, _HEAD)) is None:
            return None
        return _FAST[kind](texts)
    except pa.ArrowInvalid:
        return None


def _fast_string(texts: pa.StringArray) -> pa.Array:
    return texts


def _fast_int(texts: pa.StringArray) -> pa.Array | None:
    return pc.cast(texts, pa.int64()) if all_plain_integers(texts) else None


def _fast_float(texts: pa.StringArray) -> pa.Array | None:
    return fast_float(texts) if all_plain_numbers(texts) else None


def fast_float(texts: pa.StringArray) -> pa.Array | None:
    """Plain numbers as floats, if every one comes back as it was written."""
    # Its length bounds the digits: fifteen, a sign and a point. So many any float tells apart.
    longest = pc.max(pc.binary_length(texts)).as_py()
    if longest is not None and longest > 15:
        return None
    values = pc.cast(texts, pa.float64())
    # `-0.0` would come back as another number.
    zero = pc.equal(values, 0.0)
    return None if _any(zero) and _any(pc.and_(zero, pc.starts_with(texts, "-"))) else values


def _fast_boolean(texts: pa.StringArray) -> pa.Array | None:
    true = pc.equal(texts, "true")
    return true if _all(pc.or_(true, pc.equal(texts, "false"))) else None


def _fast_date(texts: pa.StringArray) -> pa.Array | None:
    if not all_alike(texts, _DATE) and not _all(pc.match_substring_regex(texts, f"^{_DATE.pattern}$")):
        return None
    values = pc.cast(texts, pa.date32())
    return values if in_calendar(values) else None


def _fast_datetime(texts: pa.StringArray) -> pa.Array | None:
    if not all_alike(texts, _DATETIME_RE) and not _all(pc.match_substring_regex(texts, _DATETIME)):
        return None
    values = pc.cast(texts, _ARROW[ColumnType.DATETIME])
    return values if in_calendar(values) else None


def in_calendar(values: pa.Array) -> bool:
    """Whether all days and times lie in the years 1 to 9999, which is what others can read."""
    days = pa.types.is_date32(values.type)
    least, most = pc.min_max(values.view(pa.int32() if days else pa.int64())).as_py().values()
    first, last = _DAYS if days else _MICROSECONDS
    return least is None or (first <= least and most <= last)


def _fast_json(texts: pa.StringArray) -> pa.Array | None:
    decode = msgspec.json.Decoder().decode
    for text in texts.to_pylist():
        if text is not None:
            if text[:1] not in ("{", "["):
                return None
            try:
                decode(text)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                return None
    return texts


def _fast_link(_texts: pa.StringArray) -> pa.Array | None:
    return None


def _all(mask: pa.Array) -> bool:
    # None when there is no value at all.
    return pc.all(mask).as_py() is not False


def _any(mask: pa.Array) -> bool:
    return bool(pc.any(mask).as_py())


_FAST: Final[dict[ColumnType, Callable[[pa.StringArray], pa.Array | None]]] = {
    ColumnType.STRING: _fast_string,
    ColumnType.INT: _fast_int,
    ColumnType.FLOAT: _fast_float,
    ColumnType.JSON: _fast_json,
    ColumnType.DATETIME: _fast_datetime,
    ColumnType.DATE: _fast_date,
    ColumnType.BOOLEAN: _fast_boolean,
    ColumnType.OBJECT_LINK: _fast_link,
}


def slow(column: Column, texts: pa.StringArray, *, exact: bool, bad: Callable[[int, str, BadCell], None]) -> pa.Array:
    """The values one by one; where there is none the place is null, and `bad` is told its index, text and reason."""
    found: list[Any] = []
    for i, text in enumerate(texts.to_pylist()):
        if text is None:
            found.append(None)
            continue
        try:
            found.append(parse(column, text, exact=exact))
        except BadCell as fault:
            bad(i, text, fault)
            found.append(None)
    return pa.array(found, arrow_type(column))
