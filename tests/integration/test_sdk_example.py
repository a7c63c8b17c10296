"""An ordinary SDK v3 pipeline of somebody else's shape runs unchanged: nothing here is ours.

A ScriptProcessor with inputs, outputs and a property file; a ModelTrainer with a source folder,
requirements and hyperparameters; a condition; and ModelBuilder.register.
"""

import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.roles import make_role

EXAMPLE = Path(__file__).with_name("somebody_else")


@pytest.fixture
def session(fresh_local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A PipelineSession with its own bucket and role, made the way that any user makes them."""
    for name, value in fresh_local_aws.environment.items():
        monkeypatch.setenv(name, value)
    s3, role = fresh_local_aws.client("s3"), make_role(fresh_local_aws, "line-fitters")
    s3.create_bucket(Bucket="lines")
    s3.put_object(Bucket="lines", Key="raw/a.csv", Body=b"1,2\n2,4\n,\n3,6\n")
    from sagemaker.core.workflow.pipeline_context import PipelineSession

    session = PipelineSession(default_bucket="lines")
    session.role_arn = role
    return session


def wheel_of_their_own(folder: Path) -> None:
    """A package that is on no index: what requirements.txt names, as a wheel beside it."""
    with zipfile.ZipFile(folder / "tinyfit-1.0-py3-none-any.whl", "w") as wheel:
        body = "sum(x * y for x, y in points) / sum(x * x for x, _ in points)"
        wheel.writestr("tinyfit.py", f"def slope(points):\n    return {body}\n")
        info = "tinyfit-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinyfit\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(
            f"{info}/RECORD", f"tinyfit.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    (folder / "requirements.txt").write_text("--no-index\n--find-links .\ntinyfit==1.0\n")


def started(session: Any, folder: Path, **parameters: int) -> Any:
    """An execution of their pipeline."""
    from tests.integration.somebody_else.pipeline import lines_pipeline

    source = Path(shutil.copytree(EXAMPLE / "source", folder / "source"))
    wheel_of_their_own(source)
    pipeline = lines_pipeline(session, source)
    pipeline.upsert(role_arn=session.role_arn)
    return pipeline.start(parameters=parameters)


def test_somebody_elses_pipeline_trains_and_registers_their_model(
    fresh_local_aws: Any, session: Any, tmp_path: Path
) -> None:
    execution = started(session, tmp_path)
    execution.wait(delay=1, max_attempts=120)

    package = fresh_local_aws.client("sagemaker").list_model_packages(ModelPackageGroupName="lines")
    (registered,) = package["ModelPackageSummaryList"]
    described = fresh_local_aws.client("sagemaker").describe_model_package(
        ModelPackageName=registered["ModelPackageArn"]
    )
    url = described["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    archive = fresh_local_aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        model = json.load(tar.extractfile("model.json"))  # type: ignore[arg-type]  # it is a file
    assert model == {
        "slope": 1.0,
        "label": "half a slope",
        "hyperparameters": {"shrink": 0.5, "label": "half a slope"},
    }


def test_the_other_branch_fails_the_execution_with_the_users_own_sentence(
    fresh_local_aws: Any, session: Any, tmp_path: Path
) -> None:
    execution = started(session, tmp_path, Limit=1)
    with pytest.raises(Exception, match="Waiter PipelineExecutionComplete failed"):
        execution.wait(delay=1, max_attempts=120)
    assert "fewer than two rows" in execution.describe()["FailureReason"]
    assert not fresh_local_aws.client("sagemaker").list_model_package_groups()[
        "ModelPackageGroupSummaryList"
    ]
