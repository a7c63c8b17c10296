"""The program as a job runs it: environment in, files, message and exit code out."""

import base64
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from monitoring.analyzer.__main__ import main, run
from monitoring.features import Row, features
from monitoring.record import Record

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "tests" / "events" / "analyzer"
CLEAN = "Completed: Job completed successfully with no violations."


class Job:
    """A folder that stands for /opt/ml, and runs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.output = root / "processing" / "output"
        self.data = root / "processing" / "input" / "data"
        self.data.mkdir(parents=True)

    def run(self, kind: Json, **variables: str) -> int:
        base = {
            "dataset_source": "/opt/ml/processing/input/data",
            "dataset_format": json.dumps(kind),
            "output_path": "/opt/ml/processing/output",
            "publish_cloudwatch_metrics": "Disabled",
        }
        return run(base | variables, self.root)

    def baseline(self, kind: Json) -> dict[str, str]:
        """Runs on the data, and returns what makes its results a baseline."""
        assert self.run(kind) == 0, self.message
        return self.baseline_from_output()

    def baseline_from_output(self) -> dict[str, str]:
        """Moves the last results away."""
        folder = self.root / "baseline"
        self.output.rename(folder)
        return {
            "baseline_constraints": str(folder / "constraints.json"),
            "baseline_statistics": str(folder / "statistics.json"),
        }

    def json(self, name: str) -> Json:
        found: Json = json.loads((self.output / name).read_text())
        return found

    @property
    def message(self) -> str:
        return (self.root / "output" / "message").read_text()

    def write(self, name: str, text: str) -> Path:
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


CSV = {"csv": {"header": True}}
CAPTURE = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}


def record(number: int, data: str, answer: str, **changes: Any) -> str:
    part = {"observedContentType": "text/csv", "encoding": changes.pop("encoding", "CSV")}
    event = {
        "captureData": {
            "endpointInput": part | {"mode": "INPUT", "data": data},
            "endpointOutput": part
            | {"mode": "OUTPUT", "data": answer, "encoding": changes.pop("said", "CSV")},
        },
        "eventMetadata": {
            "eventId": f"id-{number}",
            "inferenceTime": changes.pop("time", "2026-01-02T10:05:00Z"),
        },
        "eventVersion": "0",
    }
    return json.dumps(event | changes) + "\n"


def test_a_run_without_a_baseline_suggests_one_in_the_documented_form(job: Job) -> None:
    job.write("a.csv", "price,state\n1.5,Utah\n2.5,Texas\n,Texas\n")
    assert job.run(CSV) == 0
    assert job.message == CLEAN
    assert sorted(os.listdir(job.output)) == ["constraints.json", "statistics.json"]
    found = job.json("statistics.json")
    assert found["dataset"] == {"item_count": 3}
    price, state = found["features"]
    numbers = price["numerical_statistics"]
    distribution = numbers.pop("distribution")["kll"]
    assert [*price] == ["name", "inferred_type", "numerical_statistics"]
    assert list(numbers.items()) == [
        ("common", {"num_present": 2, "num_missing": 1}),
        ("mean", 2.0),
        ("sum", 4.0),
        ("std_dev", 0.5),
        ("min", 1.5),
        ("max", 2.5),
        ("approximate_num_distinct_values", 2),
        ("completeness", 2 / 3),
    ]
    assert distribution["sketch"] == {"parameters": {"c": 0.64, "k": 2048.0}, "data": [[1.5, 2.5]]}
    assert distribution["buckets"][0] == {"lower_bound": 1.5, "upper_bound": 1.6, "count": 1.0}
    assert state["string_statistics"] == {
        "common": {"num_present": 3, "num_missing": 0},
        "distinct_count": 2.0,
        "completeness": 1.0,
        "distribution": {
            "categorical": {
                "buckets": [{"value": "Texas", "count": 2}, {"value": "Utah", "count": 1}]
            }
        },
    }
    suggested = json.loads((EVENTS / "suggested_constraints.json").read_text())
    assert job.json("constraints.json") == suggested


def test_violations_are_counted_in_the_message_and_are_no_failure(job: Job) -> None:
    data = job.write("a.csv", "x,c\n" + "1.5,a\n" * 300)
    baseline = job.baseline(CSV)
    assert job.run(CSV, **baseline) == 0
    assert (job.json("constraint_violations.json"), job.message) == ({"violations": []}, CLEAN)
    data.write_text("x,c\n" + "7.5,b\n" * 300)
    assert job.run(CSV, **baseline) == 0
    found = job.json("constraint_violations.json")["violations"]
    assert [one["constraint_check_type"] for one in found] == [
        "baseline_drift_check",
        "categorical_values_check",
        "baseline_drift_check",
    ]
    expected = "CompletedWithViolations: Job completed successfully with 3 violations."
    assert job.message == expected


def test_publishing_outside_of_a_schedule_fails_with_the_documented_sentence(job: Job) -> None:
    job.write("a.csv", "x\n1\n")
    assert job.run(CSV, publish_cloudwatch_metrics="Enabled") == 255
    sentence = "CloudWatch publishing is available only for jobs from MonitoringSchedules."
    assert job.message == sentence


def test_a_schedule_gets_metric_files(job: Job) -> None:
    job.write("a.csv", "x,c\n" + "1.5,a\n2.5,a\n" * 50)
    baseline = job.baseline(CSV)
    code = job.run(
        CSV,
        **baseline,
        publish_cloudwatch_metrics="Enabled",
        sagemaker_endpoint_name="scones",
        sagemaker_monitoring_schedule_name="hourly",
        metric_time="2026-01-02T11:00:00Z",
    )
    assert code == 0
    (path,) = (job.root / "output" / "metrics" / "cloudwatch").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {
        "MetricName": "feature_data_x",
        "Timestamp": "2026-01-02T11:00:00Z",
        "Dimensions": [
            {"Name": "Endpoint", "Value": "scones"},
            {"Name": "MonitoringSchedule", "Value": "hourly"},
        ],
        "StatisticValues": {"SampleCount": 100, "Sum": 200.0, "Minimum": 1.5, "Maximum": 2.5},
    }
    assert [line["MetricName"] for line in lines[1:]] == [
        "feature_non_null_x",
        "feature_baseline_drift_x",
        "feature_non_null_c",
        "feature_baseline_drift_c",
    ]


def test_captured_csv_has_the_outputs_columns_first(job: Job) -> None:
    job.write("e/v/2026/01/02/10/a.jsonl", record(1, "1,2.5", "0.9") + record(2, "3,4.5", "0.8"))
    assert job.run(CAPTURE) == 0
    found = job.json("statistics.json")["features"]
    assert [(one["name"], one["inferred_type"]) for one in found] == [
        ("_c0", "Fractional"),
        ("_c1", "Integral"),
        ("_c2", "Fractional"),
    ]


def test_mixed_encodings_need_a_preprocessor(job: Job) -> None:
    job.write("a.jsonl", record(1, "1,2", "[1]", said="JSON"))
    assert job.run(CAPTURE) == 255
    assert job.message == (
        "Error: Encoding mismatch: Encoding is CSV for endpointInput, but Encoding is JSON for "
        "endpointOutput. We currently only support the same type of input and output encoding at "
        "the moment."
    )
    assert not job.output.exists()


PREPROCESSOR = """
print("a stray print")
def preprocess_handler(inference_record, logger):
    logger.info("seen")
    print("another")
    data = inference_record.endpoint_input.data
    if data == "drop":
        return []
    row = {"zoom": float(data), "angle": None, "id": inference_record.event_metadata.event_id}
    return [row, row] if data == "9" else row
"""


def test_a_preprocessor_makes_rows_whose_columns_are_sorted(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    script = job.root / "pre.py"
    script.write_text(PREPROCESSOR)
    lines = [record(n, data, "[1]", said="JSON") for n, data in enumerate(["1", "drop", "9"])]
    job.write("a.jsonl", "".join(lines))
    assert job.run(CAPTURE, record_preprocessor_script=str(script)) == 0
    found = job.json("statistics.json")
    assert found["dataset"]["item_count"] == 3
    assert [one["name"] for one in found["features"]] == ["angle", "id", "zoom"]
    assert capsys.readouterr().out == ""


def images(brightness: int, count: int) -> str:
    """Captured records of an image endpoint: BASE64 in, JSON out."""
    lines = []
    for number in range(count):
        buffer = io.BytesIO()
        shade = brightness + number % 40
        Image.new("RGB", (8, 8), (shade, shade // 2, shade)).save(buffer, "PNG")
        data = base64.b64encode(buffer.getvalue()).decode()
        lines.append(record(number, data, "[0.9, 0.1]", encoding="BASE64", said="JSON"))
    return "".join(lines)


def test_darker_images_are_found_through_the_projects_own_preprocessor(job: Job) -> None:
    script = {"record_preprocessor_script": str(ROOT / "monitoring" / "record_preprocessor.py")}
    capture = job.write("a.jsonl", images(150, 200))
    assert job.run(CAPTURE, **script) == 0, job.message
    names = [one["name"] for one in job.json("statistics.json")["features"]]
    assert names == sorted(names)
    assert {"brightness", "confidence", "decode_ok", "predicted_class"} <= {*names}
    baseline = job.baseline_from_output()
    assert job.run(CAPTURE, **script, **baseline) == 0
    assert job.message == CLEAN
    capture.write_text(images(60, 200))
    assert job.run(CAPTURE, **script, **baseline) == 0
    found = job.json("constraint_violations.json")["violations"]
    drifted = {(one["feature_name"], one["constraint_check_type"]) for one in found}
    assert ("brightness", "baseline_drift_check") in drifted
    assert "confidence" not in {feature for feature, _ in drifted}


def test_only_our_own_script_takes_the_fast_way_and_both_ways_give_the_same_statistics(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    # (Up to 2,048 values a sketch is exact; above, the library compacts by chance in each run.)
    ours = ROOT / "monitoring" / "record_preprocessor.py"
    same, other = job.root / "same.py", job.root / "other.py"
    same.write_bytes(ours.read_bytes())
    other.write_bytes(ours.read_bytes() + b"# of somebody else\n")
    broken = record(200, "AAAA", "[NaN, 0.1]", encoding="BASE64", said="JSON")
    job.write("a.jsonl", images(120, 200) + broken)
    fast: list[int] = []

    def counted(records: Iterable[Record]) -> Iterator[Row]:
        for row in features(records):
            fast.append(1)
            yield row

    monkeypatch.setattr("monitoring.analyzer.records.features", counted)
    written = []
    for script, expected in ((same, 201), (other, 0)):
        fast.clear()
        assert job.run(CAPTURE, record_preprocessor_script=str(script)) == 0, job.message
        assert len(fast) == expected
        written.append((job.output / "statistics.json").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('x')", "Exception while invoking preprocessor script.*KeyError"),
        ("return {'a': float('nan')}", "returned nan"),
        ("return {'a': b'x'}", "bytes"),
        ("return None", "returned None"),
    ],
)
def test_a_preprocessor_that_breaks_its_rules_fails_the_job(job: Job, body: str, said: str) -> None:
    script = job.root / "pre.py"
    script.write_text(f"def preprocess_handler(inference_record):\n    {body}\n")
    job.write("a.jsonl", record(1, "1", "2"))
    assert job.run(CAPTURE, record_preprocessor_script=str(script)) == 255
    assert re.search(said, job.message)


def test_only_the_windows_hours_are_read_and_an_empty_one_names_them(job: Job) -> None:
    for hour in (9, 10, 11):
        line = record(hour, f"{hour}", "1", time=f"2026-01-02T{hour:02}:05:00Z")
        job.write(f"e/v/2026/01/02/{hour:02}/a.jsonl", line)
    window = {"start_time": "2026-01-02T10:00:00Z", "end_time": "2026-01-02T11:00:00Z"}
    assert job.run(CAPTURE, **window) == 0
    found = job.json("statistics.json")["features"][1]["numerical_statistics"]
    assert (found["min"], found["max"]) == (10.0, 10.0)
    later = {"start_time": "2026-01-03T10:00:00Z", "end_time": "2026-01-03T11:00:00Z"}
    assert job.run(CAPTURE, **later) == 255
    assert "Job inputs had no data" in job.message
    assert "2026/01/03/10" in job.message


def test_json_lines_gzip_and_csv_without_header(job: Job) -> None:
    path = job.write("b.json", "")
    path.write_bytes(gzip.compress(b'{"b": 1.5, "a": "x"}\n{"b": 2.5}\n'))
    assert job.run({"json": {"lines": True}}) == 0
    names = [one["name"] for one in job.json("statistics.json")["features"]]
    assert names == ["a", "b"]
    path.unlink()
    job.write("c.csv", '1,"x, y"\n2,"z\nw"\n')
    assert job.run({"csv": {"header": False}}) == 0
    first, second = job.json("statistics.json")["features"]
    assert (first["name"], first["inferred_type"]) == ("_c0", "Integral")
    texts = second["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert [one["value"] for one in texts] == ["x, y", "z\nw"]


@pytest.mark.parametrize(("bad", "code"), [(1, 0), (5, 255)])
def test_broken_lines_are_left_out_up_to_one_percent(job: Job, bad: int, code: int) -> None:
    job.write("a.csv", "x,y\n" + "1,2\n" * 200 + "1,2,3\n" * bad)
    assert job.run(CSV) == code
    if code:
        assert "5 of 205 lines are broken" in job.message
        assert "3 fields instead of 2" in job.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset_format": "csv"}, "dataset_format is 'csv'"),
        ({"dataset_format": '{"xml":{}}'}, "dataset_format 'xml' is none of"),
        ({"dataset_source": "/opt/ml/nowhere"}, "does not exist"),
        ({"analysis_type": "MODEL_BIAS"}, "analysis_type is 'MODEL_BIAS'"),
        ({"start_time": "2026-01-01T00:00:00Z"}, "belong together"),
        ({"baseline_constraints": "/opt/ml/c.json"}, "c.json, which is not a file"),
        ({"record_preprocessor_script": "/opt/ml/p.py"}, "p.py, which is not a file"),
    ],
)
def test_a_wrong_variable_is_named(job: Job, change: dict[str, str], said: str) -> None:
    job.write("a.csv", "x\n1\n")
    assert job.run(CSV, **change) == 255
    assert said in job.message


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("statistics.json", "{", "cannot be read as JSON"),
        (
            "statistics.json",
            '{"features": [{"name": "x", "numerical_statistics":',
            "cannot be read",
        ),
        ("statistics.json", '{"version": 0.0}', "has not the form of a statistics.json"),
        ("constraints.json", '{"features": [{"name": "x"}]}', "needs name and inferred_type"),
    ],
)
def test_a_damaged_baseline_is_named(job: Job, name: str, text: str, said: str) -> None:
    job.write("a.csv", "x\n1\n")
    baseline = job.baseline(CSV)
    (job.root / "baseline" / name).write_text(text)
    assert job.run(CSV, **baseline) == 255
    assert said in job.message
    assert not job.output.exists()


def test_an_unexpected_error_leaves_its_reason_too(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.write("a.csv", "x\n1\n")
    monkeypatch.setattr("monitoring.analyzer.readers.read", lambda chosen: 1 / 0)
    assert job.run(CSV) == 255
    assert job.message == "ZeroDivisionError: division by zero"


def test_empty_inputs_fail_as_the_analyzer_does(job: Job) -> None:
    job.write("a.csv", "x,y\n")
    assert job.run(CSV) == 255
    assert job.message.startswith("Job inputs had no data")


def test_excluded_features_are_left_out(job: Job) -> None:
    job.write("a.csv", "x,y,z\n1,2,3\n")
    assert job.run(CSV, exclude_features_attribute="y, z") == 0
    assert [one["name"] for one in job.json("statistics.json")["features"]] == ["x"]


def test_by_hand_the_variables_are_options(
    job: Job, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    data = job.write("a.csv", "x\n1\n")
    arguments = ["--root", str(job.root), "--dataset-source", str(data)]
    arguments += ["--dataset-format", json.dumps(CSV), "--output-path", str(job.root / "out")]
    assert main(arguments) == 0
    assert (job.root / "out" / "statistics.json").is_file()
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "--record-preprocessor-script" in capsys.readouterr().out


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_killed_run_leaves_nothing_behind(job: Job) -> None:
    reached = job.root / "reached"
    script = job.root / "pre.py"
    script.write_text(
        "import pathlib, time\n"
        "def preprocess_handler(inference_record):\n"
        f"    pathlib.Path({str(reached)!r}).touch()\n"
        "    time.sleep(60)\n"
    )
    job.write("a.jsonl", record(1, "1", "2"))
    variables = {
        "dataset_source": str(job.data),
        "dataset_format": json.dumps(CAPTURE),
        "output_path": str(job.output),
        "publish_cloudwatch_metrics": "Disabled",
        "record_preprocessor_script": str(script),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "monitoring.analyzer", "--root", str(job.root)],
        env=os.environ | variables | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    until(reached.exists)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not job.output.exists()
    assert not (job.root / "output").exists()
