"""A piece of the dataset: some rows as columns, and what makes it of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa

from monitoring.analyzer import column
from monitoring.analyzer.column import Column

ROWS = 8192  # rows of dictionaries that become one chunk

Row = Mapping[str, Any]


@dataclass
class Chunk:
    """`rows` rows; a column that none of them has is absent."""

    columns: dict[str, Column]
    rows: int
    source: Any = None  # the record batch, or the rows, that it was made of

    def texts(self, name: str) -> list[str | None]:
        """The values of a column row by row, as text; None where there is none."""
        if isinstance(self.source, pa.RecordBatch):
            values = self.source.column(name).to_pylist()
        else:
            values = [row.get(name) for row in self.source]
        return [None if value is None else column.as_text(value) for value in values]


def of_rows(rows: Sequence[Row], names: Sequence[str] | None = None) -> Chunk:
    """Rows as columns, those in `names` in that order, else all of them sorted."""
    if names is None:
        names = sorted({name for row in rows for name in row})
    columns = {name: column.from_values([row.get(name) for row in rows]) for name in names}
    return Chunk(columns, len(rows), rows)


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists of at most 8,192."""
    iterator = iter(rows)
    while batch := list(islice(iterator, ROWS)):
        yield batch


def of_table(table: Any, size: int = 1 << 20) -> Iterator[Chunk]:
    """A pyarrow Table, or anything that `pyarrow.Table.from_pandas` took, chunk by chunk."""
    for batch in table.to_batches(max_chunksize=size):
        yield of_batch(batch)


def of_batch(batch: Any) -> Chunk:
    """A pyarrow RecordBatch of strings and numbers."""
    columns = {name: column.from_arrow(batch.column(name)) for name in batch.schema.names}
    return Chunk(columns, batch.num_rows, batch)
