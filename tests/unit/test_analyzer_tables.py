"""How CSV is read: names, line breaks, long rows, and how far ahead of the analysis."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from monitoring.analyzer import readers, settings
from monitoring.analyzer.chunk import Chunk
from monitoring.analyzer.settings import AnalyzerError


def chunks(tmp_path: Path, data: bytes, header: bool = True) -> list[Chunk]:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    variables = {
        "dataset_source": str(path),
        "dataset_format": json.dumps({"csv": {"header": header}}),
        "output_path": str(tmp_path / "out"),
        "publish_cloudwatch_metrics": "Disabled",
    }
    return list(readers.read(settings.read(variables, tmp_path)))


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"a,b\n1,2\n", ["a", "b"]),
        (b"\xef\xbb\xbfa,b\n1,2\n", ["a", "b"]),
        (b'"a\nx",b\r\n1,2\r\n', ["a\nx", "b"]),
        (b"NA,null\n1,2\n", ["NA", "null"]),
    ],
)
def test_the_header_is_one_row_and_names_the_columns(
    tmp_path: Path, data: bytes, names: list[str]
) -> None:
    (part,) = chunks(tmp_path, data)
    assert [*part.columns] == names
    assert part.rows == 1


def test_without_a_header_the_first_row_counts_with_its_line_breaks(tmp_path: Path) -> None:
    (part,) = chunks(tmp_path, b'"x\ny",1\n"z",2\n', header=False)
    assert part.texts("_c0") == ["x\ny", "z"]
    assert part.texts("_c1") == ["1", "2"]


def test_a_table_of_many_blocks_arrives_whole(tmp_path: Path) -> None:
    rows = [f"{number},{'w' * 1000}" for number in range(2_000)]
    parts = chunks(tmp_path, "\n".join(["n,text", *rows]).encode())
    assert len(parts) > 4
    assert [text for part in parts for text in part.texts("n")] == [*map(str, range(2_000))]


def test_a_row_without_an_end_is_refused_with_one_sentence(tmp_path: Path) -> None:
    data = b'a,b\n1,2\n"' + b"3,4\n" * 400_000
    with pytest.raises(AnalyzerError, match=r"a\.csv.*longer than 256 KiB \(is a quote left open"):
        chunks(tmp_path, data)


def test_what_is_read_ahead_is_a_fraction_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[io.BytesIO] = []

    def remembered(path: Path) -> io.BytesIO:
        opened.append(io.BytesIO(path.read_bytes()))
        return opened[-1]

    monkeypatch.setattr(readers, "_opened", remembered)
    path = tmp_path / "a.csv"
    path.write_bytes(b"n\n" + b"1234567\n" * 4_000_000)
    batches: Any = readers._batches(path, header=True, broken=readers.Broken())
    assert isinstance(next(batches), pa.RecordBatch)
    assert opened[-1].tell() <= 40 * readers.BLOCK_BYTES < path.stat().st_size / 3
