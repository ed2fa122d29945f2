"""How all texts of an array are written, seen from their bytes at once: what an expression would say of each, sooner.

An expression takes a hundred nanoseconds and more for each text. Here a handful of operations look at all bytes, and at
those places where something stands that is no digit.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Decimals", "all_alike", "all_plain_integers", "all_plain_numbers", "decimals_of"]

_ZERO, _NINE, _POINT, _MINUS = b"09.-"


@dataclass(frozen=True, slots=True)
class Decimals:
    """How the fractions of plain numbers are written.

    Args:
        least, most: Digits behind the point; a whole number has none.
        trailing: Some number of two decimals or more ends with a zero.
    """

    least: int
    most: int
    trailing: bool


def all_plain_numbers(texts: pa.StringArray) -> bool:
    """Whether every text that is there is `-?(0|[1-9][0-9]*)(.[0-9]+)?`."""
    return decimals_of(texts) is not None


def decimals_of(texts: pa.StringArray) -> Decimals | None:
    """How the decimals of all texts are written; None unless every one is a plain number."""
    data, ends = _bytes_of(texts)
    if not len(ends):
        return Decimals(0, 0, trailing=False)
    starts = np.concatenate(([0], ends[:-1]))
    # An empty text, for which nothing below could be looked at.
    if (starts == ends).any():
        return None
    points = np.flatnonzero(data == _POINT)
    first = _plain_from(data, starts, ends, len(points))
    if first is None:
        return None
    # Mostly each has one.
    if len(points) == len(ends) and ((points > first) & (points < ends)).all():
        decimals = ends - points - 1
    else:
        owners = np.searchsorted(ends, points, "right")
        if len(owners) > 1 and (owners[1:] == owners[:-1]).any():
            return None
        decimals = np.zeros(len(ends), np.int64)
        decimals[owners] = ends[owners] - points - 1
    # A zero in front has nothing behind it but the point.
    zeros = first[(data[first] == _ZERO) & (first + 1 < ends)]
    if not (data[zeros + 1] == _POINT).all():
        return None
    trailing = bool(((data[ends - 1] == _ZERO) & (decimals > 1)).any())
    return Decimals(int(decimals.min()), int(decimals.max()), trailing)


def all_plain_integers(texts: pa.StringArray) -> bool:
    """Whether every text that is there is `0|-?[1-9][0-9]*`."""
    data, ends = _bytes_of(texts)
    if not len(ends):
        return True
    starts = np.concatenate(([0], ends[:-1]))
    if (starts == ends).any():
        return False
    first = _plain_from(data, starts, ends, 0)
    if first is None:
        return False
    # A zero is alone.
    zeros = data[first] == _ZERO
    return not (zeros & (ends - starts > 1)).any()


def _plain_from(
    data: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64], points: int
) -> NDArray[np.int64] | None:
    """Where the digits of each begin, if there are only digits, a sign before them, and so many points between."""
    signed = data[starts] == _MINUS
    digits = data - _ZERO <= _NINE - _ZERO
    if int(np.count_nonzero(digits)) + points + int(np.count_nonzero(signed)) != len(data):
        return None
    first: NDArray[np.int64] = starts + signed
    # A digit at both ends says too that no point stands there, and that something follows the sign.
    if (first == ends).any() or not digits[first].all() or not digits[ends - 1].all():
        return None
    return first


def all_alike(texts: pa.StringArray, form: re.Pattern[str]) -> bool:
    """Whether every text that is there fits the form, for certain: all are written as the first, digit by digit.

    Args:
        form: Lets any digit stand where it lets one, and is bound to ASCII.
    """
    data, ends = _bytes_of(texts)
    if not len(ends):
        return True
    length, rest = divmod(len(data), len(ends))
    if not length or rest or (ends != np.arange(length, len(data) + 1, length)).any():
        return False
    if form.fullmatch(data[:length].tobytes().decode("utf-8", "replace")) is None:
        return False
    model = data[:length]
    digit = (model >= _ZERO) & (model <= _NINE)
    # Digits of one model or another are all the same here.
    least, room = _stretched(np.where(digit, _ZERO, model).astype(np.uint8).tobytes(), -(-len(ends) // _STEP) * _STEP)
    # What is less than the least wraps around and has no room either.
    return bool((data - least[: len(data)] <= room[: len(data)]).all())


#: So that few lengths are kept.
_STEP = 16_384


@functools.lru_cache(maxsize=4)
def _stretched(least: bytes, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The least bytes of so many texts, one behind the other, and how much more each may be: short rows are slow."""
    one = np.frombuffer(least, np.uint8)
    return np.tile(one, count), np.tile(np.where(one == _ZERO, _NINE - _ZERO, 0).astype(np.uint8), count)


def _bytes_of(texts: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The bytes of all texts one behind the other, and where in them each ends; without those that are missing."""
    if texts.null_count:
        texts = texts.drop_null()
    if not len(texts):
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    whole = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return whole[places[0] : places[-1]], places[1:] - places[0]
