"""The embedded AWS's own share of an execution."""

from pathlib import Path

import pytest

from benchmarks.engine import program_seconds
from localaws.store import Store


def test_only_the_jobs_of_the_execution_count(tmp_path: Path) -> None:
    store = Store(tmp_path / "records.sqlite")
    jobs = {"mine-Prepare-1": 0.5, "mine-Evaluate-1": 2.0, "other-Drift-1": 7.0}
    for name, seconds in jobs.items():
        job = {"ProcessingJobName": f"pipelines-{name}", "_program_seconds": seconds}
        store.put("processing-job", name, job)
    training = {"TrainingJobName": "pipelines-mine-Train-1", "_program_seconds": 40.0}
    store.put("training-job", "mine-Train-1", training)
    store.close()
    assert program_seconds(tmp_path / "records.sqlite", "mine") == pytest.approx(42.5)
