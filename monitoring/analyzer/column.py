"""One chunk of one column: how many values are of which type, its numbers, its texts.

Texts are classified value by value as Deequ does (DataType.scala, StatefulDataType.scala), which
the analyzer is built on: `-1.5` is fractional, `7` integral, `true` boolean, `1e-05` a string.
Numbers that are numbers in their source (JSON, a table in memory) keep their type. [I]
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitoring.analyzer.sketch import Floats

_FRACTIONAL = r"^(-|\+)? ?\d*\.\d*$"
_INTEGRAL = r"^(-|\+)? ?\d*$"
_BOOLEAN = r"^(true|false)$"
_PLAIN = (ord("+"), ord("9"))  # the bytes of numbers without blanks and exponents lie between


@dataclass
class Column:
    """A chunk's present values. `numbers` are the finite ones, `strings` all others' counts."""

    numbers: Floats
    fractional: int = 0
    integral: int = 0
    boolean: int = 0
    string: int = 0
    source: Any = None  # what the values came from: an arrow array, or None for numbers
    strings: Any = None  # an arrow array of the values that are no numbers, or None
    typed: bool = False  # numbers of a typed source: one fraction makes the whole column so

    @property
    def present(self) -> int:
        """How many values there are."""
        return self.fractional + self.integral + self.boolean + self.string

    def counts(self, limit: int) -> dict[str, int] | None:
        """How often each value occurs, as text; None when more than `limit` differ."""
        if self.source is None:
            return _number_counts(self.numbers, limit, whole=not self.fractional)
        if len(pc.unique(self.source.slice(0, 16 * limit))) > limit:
            return None
        return text_counts(self.source, limit)

    def string_counts(self) -> dict[str, int]:
        """How often each value that is no number occurs."""
        return {} if self.strings is None else text_counts(self.strings, None) or {}


def from_numbers(values: Floats, whole: bool = False) -> Column:
    """Of numbers; what is not finite counts as missing.

    Args: values: float64; whole: whether the source's type is an integer.
    """
    finite = np.isfinite(values)
    numbers = values if finite.all() else values[finite]
    size = int(numbers.size)
    return Column(
        numbers, fractional=0 if whole else size, integral=size if whole else 0, typed=True
    )


def from_texts(array: Any) -> Column:
    """Of an arrow array of strings; null is missing."""
    if array.null_count:
        array = array.drop_null()
    numbers = _plain_numbers(array)
    if numbers is None:
        return _classified(array)
    fractional = int(np.count_nonzero(_bytes(array) == ord(".")))  # a number has one at most
    return Column(numbers, fractional=fractional, integral=len(array) - fractional, source=array)


def from_arrow(array: Any) -> Column:
    """Of an arrow array: numbers as they are, everything else as texts."""
    kind = array.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers = pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)
        return from_numbers(numbers, whole=pa.types.is_integer(kind))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        array = pc.cast(array, pa.string())
    return from_texts(array)


def from_values(values: Sequence[Any]) -> Column:
    """Of JSON values: all numbers, or anything else, which is taken as text."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int, float}:
        present = [value for value in values if value is not None]
        return from_numbers(np.array(present, dtype=np.float64), whole=float not in kinds)
    texts = [None if value is None else as_text(value) for value in values]
    return from_texts(pa.array(texts, pa.string()))


def as_text(value: Any) -> str:
    """A JSON value as Spark would show it in a column of strings. [I]"""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def text_counts(array: Any, limit: int | None) -> dict[str, int] | None:
    """How often each text occurs; None when more than `limit` differ."""
    found = pc.value_counts(array)
    if limit is not None and len(found) > limit:
        return None
    return dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True))


def _number_counts(numbers: Floats, limit: int, whole: bool) -> dict[str, int] | None:
    if np.unique(numbers[: 16 * limit]).size > limit:
        return None
    values, counts = np.unique(numbers, return_counts=True)
    if values.size > limit:
        return None
    texts = [str(int(value)) if whole else repr(value) for value in values.tolist()]
    return dict(zip(texts, counts.tolist(), strict=True))


def _plain_numbers(array: Any) -> Floats | None:
    """All values as numbers; None unless each is digits, perhaps a sign, perhaps one point."""
    text = _bytes(array)
    if text.size and (text.min() < _PLAIN[0] or text.max() > _PLAIN[1]):
        return None
    try:
        numbers: Floats = pc.cast(array, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return numbers


def _bytes(array: Any) -> Any:
    """All bytes of the values, one after the other, without a copy."""
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return np.empty(0, np.uint8)
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    ends = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


def _classified(array: Any) -> Column:
    """The slow way, for columns with anything but plain numbers."""
    fractional = pc.match_substring_regex(array, _FRACTIONAL)
    integral = pc.match_substring_regex(array, _INTEGRAL)
    boolean = pc.match_substring_regex(array, _BOOLEAN)
    numeric = pc.or_(fractional, integral)
    counts = [int(pc.sum(mask).as_py() or 0) for mask in (fractional, integral, boolean)]
    return Column(
        _parsed(array.filter(numeric)),
        fractional=counts[0],
        integral=counts[1],
        boolean=counts[2],
        string=len(array) - sum(counts),
        source=array,
        strings=array.filter(pc.invert(numeric)),
    )


def _parsed(array: Any) -> Floats:
    """Numbers of texts that look like numbers; a bare sign or point has none and is left out."""
    found = []
    for text in array.to_pylist():
        try:
            found.append(float(text.replace(" ", "")))
        except ValueError:
            continue
    return np.array(found, dtype=np.float64)
