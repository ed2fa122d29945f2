"""Which type a column has, found out without damage: what is not certainly a number, a date or a truth stays text.

A guess sees every value of the column once, batch by batch. It starts with the narrowest type that fits and only ever
moves on:

    (nothing) ─► Boolean, Date, DateTime, JSON ─► String
              └► Int ─► Float ─────────────────┘

Moving on after values were written as the former type means writing them again; whoever drives the guesses sees that
`type` changed, lets the rest go by, and begins anew with what came out.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from entrepot.model.columns import Column, ColumnType
from entrepot.tabular.faults import BadCell, excerpt
from entrepot.tabular.looks import Decimals, decimals_of
from entrepot.tabular.values import FLOAT_WHOLE, arrow_type, fast, fast_float, parse

__all__ = ["Guess"]

_IN_ORDER: Final = (
    ColumnType.BOOLEAN,
    ColumnType.INT,
    ColumnType.FLOAT,
    ColumnType.DATE,
    ColumnType.DATETIME,
    ColumnType.JSON,
)

#: What a column that stays text may look like at first sight, and why it is none of that.
_LOOKS: Final = (
    (re.compile(r"0[0-9]+"), "has leading zeros"),
    (re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+"), "could be a number with an exponent, or a name"),
    (re.compile(r"[0-9]{1,3}([,.' ][0-9]{3})+([.,][0-9]+)?"), "could be a number with separators"),
    (re.compile(r"-?[0-9]+,[0-9]+"), "could be a number with a decimal comma"),
    (re.compile(r"-?[0-9]{19,}"), "is a whole number of more than 64 bits"),
    (re.compile(r"-?[0-9]+(\.[0-9]+)?"), "is a number, but not all are, or not all are written alike"),
    (re.compile(r"\s+\S.*|.*\S\s+"), "has spaces around it"),
    (re.compile(r"(?i)true|false|yes|no|y|n|t|f|on|off"), "could be a truth, or a word"),
    (re.compile(r"(?i)nan|na|n/a|null|none|nil|-|\?|#n/a|missing"), "could mean that there is no value"),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+"), "is a time without a zone"),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "is a date, but not all are"),
    (re.compile(r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}"), "could be a date, of an order nobody can tell"),
)


#: Batches in which a reason is looked for why a column is text.
_NOTED: Final = 4


class Guess:
    """The type of one column so far.

    Args:
        kinds: Types that are considered at all; text always is.
        settled: Do not guess: the column has this type, as an earlier pass found out.
    """

    def __init__(self, kinds: tuple[ColumnType, ...] = _IN_ORDER, settled: ColumnType | None = None) -> None:
        self._kinds = kinds
        self.type: ColumnType | None = settled
        self._settled = settled is not None
        self.nulls = 0
        self.values = 0
        self._longest_int = -1
        self._decimals: tuple[int, int] | None = None
        self._trailing = False
        self._odd: tuple[str, str] | None = None
        self._noted = 0

    def see(self, texts: pa.StringArray) -> pa.Array | None:
        """Take the next values into account; answers them as values of `type`, or None if that has just changed or is
        not known yet.
        """
        self.nulls += texts.null_count
        some = len(texts) - texts.null_count
        if not some:
            return pa.nulls(len(texts), arrow_type(Column(None, self.type or ColumnType.STRING)))
        before = self.type
        self.values += some
        if self.type is None:
            kinds = (*self._kinds, ColumnType.STRING)
        elif self.type is ColumnType.INT and ColumnType.FLOAT in self._kinds and not self._settled:
            kinds = (ColumnType.INT, ColumnType.FLOAT, ColumnType.STRING)
        else:
            kinds = (self.type, ColumnType.STRING)
        for kind in kinds:
            found = self._as(kind, texts)
            if found is not None:
                self.type = kind
                break
        if self.type is ColumnType.STRING and self._odd is None and self._noted < _NOTED:
            self._noted += 1
            self._note(texts)
        return found if before in (None, self.type) else None

    def _as(self, kind: ColumnType, texts: pa.StringArray) -> pa.Array | None:
        if kind is ColumnType.FLOAT:
            return self._as_float(texts)
        values = fast(kind, texts)
        if values is not None and kind is ColumnType.INT and not self._settled:
            least, most = (abs(one) for one in pc.min_max(values).as_py().values())
            self._longest_int = max(self._longest_int, least, most)
        return values

    def _as_float(self, texts: pa.StringArray) -> pa.Array | None:
        decimals = decimals_of(texts.slice(0, _STRETCH)) and decimals_of(texts)
        if decimals is None:
            return None
        values = fast_float(texts)
        if values is None:
            values = _one_by_one(texts)
        if values is None or self._settled or self._written_alike(decimals):
            return values
        return None

    def _written_alike(self, found: Decimals) -> bool:
        """Whether no zero at the end of a number says something: `1.10` beside `1.1` are names of releases.

        `1.0` is how programs write the number 1, and `1.50` beside `2.25` are prices.
        """
        if self._longest_int > FLOAT_WHOLE:
            return False
        least, most = found.least, found.most
        if self._decimals is not None:
            least, most = min(least, self._decimals[0]), max(most, self._decimals[1])
        if self._longest_int >= 0:
            least = 0
        self._decimals = (least, most)
        self._trailing = self._trailing or found.trailing
        return not self._trailing or least == most

    def _note(self, texts: pa.StringArray) -> None:
        """Remember the first value that makes a reader wonder why this is text."""
        for text in texts.slice(0, 2000).drop_null()[:1000].unique().to_pylist():
            for pattern, why in _LOOKS:
                if pattern.fullmatch(text):
                    self._odd = (text, why)
                    return

    @property
    def note(self) -> str | None:
        """Why the column stays text although it looks like something else, as a clause."""
        if self.type is not ColumnType.STRING or self._odd is None:
            return None
        return f"{excerpt(self._odd[0])!r} {self._odd[1]}"

    def column(self, name: str) -> Column:
        """What came out."""
        return Column(name, self.type or ColumnType.STRING, nullable=self.nulls > 0 or not self.values)


_STRETCH: Final = 4096
_FLOAT_COLUMN: Final = Column("", ColumnType.FLOAT)


def _one_by_one(texts: pa.StringArray) -> pa.Array | None:
    """Floats of many digits, each compared with what would be written for it."""
    found: list[Any] = []
    try:
        # Most columns of which this is asked are no numbers at all, which the first values tell.
        for at in range(0, len(texts), _STRETCH):
            for text in texts.slice(at, _STRETCH).to_pylist():
                found.append(None if text is None else parse(_FLOAT_COLUMN, text, exact=True))
    except BadCell:
        return None
    return pa.array(found, pa.float64())
