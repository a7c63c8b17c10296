"""Training jobs: their files, artifacts, metrics, checkpoints, and the SDK's own driver."""

import hashlib
import importlib.metadata
import importlib.util
import json
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import InUse, NotImplementedHere, ValidationError
from tests.unit.job_kit import IMAGE, Machine, channel, eventually, training_request


def members(archive: bytes) -> dict[str, bytes]:
    """The files of a tar.gz."""
    found = {}
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        for member in opened:
            if member.isfile():
                content = opened.extractfile(member)
                assert content is not None
                found[member.name] = content.read()
    return found


def test_a_model_is_trained_and_its_artifact_lands_where_describe_says(machine: Machine) -> None:
    machine.put("train/x.csv", "1,2")
    job = machine.train(
        "fit",
        """
        import os, pathlib
        pathlib.Path("/opt/ml/model/code").mkdir()
        pathlib.Path("/opt/ml/model/code/inference.py").write_text("pass")
        pathlib.Path("/opt/ml/model/weights").write_text(
            pathlib.Path("/opt/ml/input/data/train/x.csv").read_text()
        )
        pathlib.Path("/opt/ml/output/data/curve.csv").write_text("epoch,loss")
        """,
        InputDataConfig=[channel("train", "s3://data/train/")],
    )
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": "s3://data/out/fit/output/model.tar.gz"}
    model = members(machine.get("out/fit/output/model.tar.gz"))
    assert model == {"code/inference.py": b"pass", "weights": b"1,2"}
    assert members(machine.get("out/fit/output/output.tar.gz")) == {"curve.csv": b"epoch,loss"}
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] == 1
    stages = [item["Status"] for item in job["SecondaryStatusTransitions"]]
    assert stages == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(item["EndTime"] >= item["StartTime"] for item in job["SecondaryStatusTransitions"])
    assert machine.logs.streams.keys() <= {
        (group, stream)
        for group, stream in machine.logs.streams
        if group == "/aws/sagemaker/TrainingJobs" and stream.startswith("fit/algo-1-")
    }


def test_the_same_model_gives_the_same_archive(machine: Machine) -> None:
    script = """
    import os
    for name in {names}:
        open("/opt/ml/model/" + name, "w").write(name)
    os.chmod("/opt/ml/model/a", {mode})
    os.utime("/opt/ml/model/b", ({time}, {time}))
    """
    machine.train("one", script.format(names=["a", "b"], mode="0o600", time=1))
    machine.train("two", script.format(names=["b", "a"], mode="0o644", time=2))
    one, two = (machine.get(f"out/{name}/output/model.tar.gz") for name in ("one", "two"))
    assert hashlib.sha256(one).hexdigest() == hashlib.sha256(two).hexdigest()


def test_an_uncompressed_model_is_uploaded_file_by_file(machine: Machine) -> None:
    job = machine.train(
        "plain",
        "open('/opt/ml/model/weights', 'w').write('w')",
        OutputDataConfig={"S3OutputPath": "s3://data/out/", "CompressionType": "NONE"},
    )
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://data/out/plain/output/model/"
    assert machine.object_keys("out/") == ["out/plain/output/model/weights"]


def test_the_configuration_files_and_variables_are_those_of_sagemaker(machine: Machine) -> None:
    machine.put("train/x", "")
    job = machine.train(
        "config",
        """
        import json, os, pathlib
        files = pathlib.Path("/opt/ml/input/config").iterdir()
        found = {file.stem: json.loads(file.read_text()) for file in files}
        print(json.dumps({"files": found, "env": dict(os.environ)}))
        """,
        HyperParameters={"epochs": "3", "name": "a b"},
        Environment={"SEED": "7"},
        InputDataConfig=[{**channel("train", "s3://data/train"), "ContentType": "text/csv"}],
    )
    found = json.loads(machine.logs.text("config"))
    assert found["files"]["hyperparameters"] == {"epochs": "3", "name": "a b"}
    assert found["files"]["inputdataconfig"] == {
        "train": {
            "TrainingInputMode": "File",
            "ContentType": "text/csv",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    resources = found["files"]["resourceconfig"]
    assert resources["current_host"] == "algo-1"
    assert resources["hosts"] == ["algo-1"]
    assert resources["current_instance_type"] == "ml.m5.xlarge"
    assert resources["instance_groups"][0]["instance_group_name"] == resources["current_group_name"]
    environment = found["env"]
    assert environment["TRAINING_JOB_NAME"] == "config"
    assert environment["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["SEED"] == "7"


def test_metrics_are_caught_from_the_log_with_their_last_value(machine: Machine) -> None:
    request = training_request(
        "metrics",
        """
        for epoch, value in enumerate(("0.5", "nan", "0.91", "oops")):
            print(f"epoch={epoch} accuracy={value};")
        """,
    )
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "validation:accuracy", "Regex": r"accuracy=([0-9.]+|oops);"},
        {"Name": "never", "Regex": r"never=(\d+)"},
    ]
    machine.training.create_training_job(request)
    [metric] = machine.training.wait("metrics", 30)["FinalMetricDataList"]
    assert metric["MetricName"] == "validation:accuracy"
    assert metric["Value"] == 0.91


def test_checkpoints_come_back_and_go_up_while_the_job_runs(machine: Machine) -> None:
    machine.put("checkpoints/epoch-1", "old")
    machine.training.create_training_job(
        training_request(
            "spot",
            """
            import pathlib, time
            folder = pathlib.Path("/opt/ml/checkpoints")
            (folder / "epoch-2").write_text((folder / "epoch-1").read_text() + " and new")
            time.sleep(60)
            """,
            CheckpointConfig={"S3Uri": "s3://data/checkpoints"},
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60},
        )
    )
    eventually(lambda: "checkpoints/epoch-2" in machine.object_keys(), "the checkpoint's upload")
    assert machine.get("checkpoints/epoch-2") == b"old and new"
    machine.training.stop_training_job({"TrainingJobName": "spot"})
    job = machine.training.wait("spot", 30)
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["EnableManagedSpotTraining"] is True
    assert [item["Status"] for item in job["SecondaryStatusTransitions"]][-2:] == [
        "Stopping",
        "Stopped",
    ]


def test_a_failed_job_has_no_model_but_its_other_output(machine: Machine) -> None:
    job = machine.train(
        "broken",
        """
        open("/opt/ml/model/half", "w").write("half")
        open("/opt/ml/output/data/trace", "w").write("why")
        raise SystemExit(1)
        """,
    )
    assert job["TrainingJobStatus"] == "Failed"
    assert "ModelArtifacts" not in job
    assert machine.object_keys("out/") == ["out/broken/output/output.tar.gz"]


def test_a_link_out_of_the_model_folder_is_not_followed(machine: Machine) -> None:
    job = machine.train(
        "link",
        "import os; os.symlink('/etc/hostname', '/opt/ml/model/weights')",
        OutputDataConfig={"S3OutputPath": "s3://data/out", "CompressionType": "NONE"},
    )
    assert job["FailureReason"] == (
        "ClientError: /opt/ml/model/weights is a link that leads out of /opt/ml, "
        "so it was not uploaded."
    )
    job = machine.train(
        "folder-link",
        "import os; os.rmdir('/opt/ml/model'); os.symlink('/etc', '/opt/ml/model')",
    )
    assert job["FailureReason"].startswith("ClientError: /opt/ml/model leads out of /opt/ml")
    assert machine.object_keys("out/") == []


def _wheel(name: str, version: str, source: str) -> bytes:
    content = BytesIO()
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", source)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return content.getvalue()


def test_what_requirements_install_is_there_for_that_job_alone(machine: Machine) -> None:
    # `iniconfig` comes with pytest, so the project has it in another version.
    assert importlib.metadata.version("iniconfig") != "99.0"
    machine.put("code/tiny-1.0-py3-none-any.whl", _wheel("tiny", "1.0", "word = 'tiny'"))
    machine.put("code/iniconfig-99.0-py3-none-any.whl", _wheel("iniconfig", "99.0", "new = True"))
    machine.put(
        "code/requirements.txt", "./tiny-1.0-py3-none-any.whl\n./iniconfig-99.0-py3-none-any.whl"
    )
    report = """
    import importlib.metadata, importlib.util
    print("tiny", importlib.util.find_spec("tiny") is not None)
    print("iniconfig", importlib.metadata.version("iniconfig"))
    """
    request = training_request("installs", "")
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = [
        "/bin/bash",
        "-ec",
        "cd /opt/ml/input/data/code; pip install --no-index -r requirements.txt; python - <<X\n"
        "import importlib.metadata, importlib.util\n"
        "print('tiny', importlib.util.find_spec('tiny') is not None)\n"
        "print('iniconfig', importlib.metadata.version('iniconfig'))\n"
        "X",
    ]
    request["InputDataConfig"] = [channel("code", "s3://data/code")]
    machine.training.create_training_job(request)
    assert machine.training.wait("installs", 60)["TrainingJobStatus"] == "Completed", (
        machine.logs.text("installs")
    )
    assert machine.logs.text("installs").endswith("tiny True\niniconfig 99.0")
    machine.train("next", report)
    project = importlib.metadata.version("iniconfig")
    assert machine.logs.text("next") == f"tiny False\niniconfig {project}"
    assert importlib.util.find_spec("tiny") is None


def test_the_sdks_own_driver_runs_a_script_with_requirements_and_hyperparameters(
    machine: Machine,
) -> None:
    files = importlib.metadata.files("sagemaker-train")
    if files is None:
        pytest.skip("the SageMaker SDK is not installed")
    by_path = {str(file): Path(str(file.locate())) for file in files}
    for path, file in by_path.items():
        drivers = path.partition("sagemaker/train/container_drivers/")[2]
        if drivers.endswith(".py"):
            machine.put(f"drivers/{drivers}", file.read_bytes())
    core = importlib.metadata.distribution("sagemaker-core")
    installer = core.locate_file("sagemaker/core/utils/install_requirements.py")
    machine.put("drivers/scripts/install_requirements.py", Path(str(installer)).read_bytes())
    template: dict[str, Any] = {}
    exec(by_path["sagemaker/train/templates.py"].read_text(), template)  # noqa: S102  # constants only
    machine.put(
        "drivers/sm_train.sh",
        template["TRAIN_SCRIPT_TEMPLATE"].format(
            working_dir="cd /opt/ml/input/data/code",
            install_requirements=template["INSTALL_REQUIREMENTS"].format(
                requirements_file="requirements.txt"
            ),
            execute_driver=template["EXECUTE_BASIC_SCRIPT_DRIVER"],
        ),
    )
    machine.put("drivers/sourcecode.json", '{"entry_script": "train.py"}')
    machine.put("drivers/distributed.json", "{}")
    machine.put("code/tiny-1.0-py3-none-any.whl", _wheel("tiny", "1.0", "word = 'tiny'"))
    machine.put("code/requirements.txt", "--no-index\n./tiny-1.0-py3-none-any.whl")
    machine.put(
        "code/train.py",
        "import os, sys, tiny\n"
        "open(os.environ['SM_MODEL_DIR'] + '/result', 'w').write(f'{tiny.word} {sys.argv[1:]}')\n",
    )
    request = training_request("driver", "", HyperParameters={"epochs": "3"})
    script = "/opt/ml/input/data/sm_drivers/sm_train.sh"
    request["AlgorithmSpecification"].update(
        ContainerEntrypoint=["/bin/bash"],
        ContainerArguments=["-c", f"chmod +x {script} && {script}"],
    )
    request["InputDataConfig"] = [
        channel("code", "s3://data/code/"),
        channel("sm_drivers", "s3://data/drivers/"),
    ]
    machine.training.create_training_job(request)
    job = machine.training.wait("driver", 60)
    assert job["TrainingJobStatus"] == "Completed", machine.logs.text("driver")
    model = members(machine.get("out/driver/output/model.tar.gz"))
    assert model == {"result": b"tiny ['--epochs', '3']"}


def _with(**changes: Any) -> dict[str, Any]:
    return {**training_request("refused", "pass"), **changes}


def _algorithm(**changes: Any) -> dict[str, Any]:
    algorithm = {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python"],
    }
    return {"AlgorithmSpecification": {**algorithm, **changes}}


REFUSED = {
    "pipe mode": (
        _with(
            **_algorithm(TrainingInputMode="Pipe"), InputDataConfig=[channel("a", "s3://data/a")]
        ),
        NotImplementedHere,
        "no Pipe mode",
    ),
    "an algorithm of the marketplace": (
        _with(AlgorithmSpecification={"AlgorithmName": "x", "TrainingInputMode": "File"}),
        NotImplementedHere,
        "AlgorithmName",
    ),
    "two channels of one name": (
        _with(InputDataConfig=[channel("a", "s3://data/a")] * 2),
        ValidationError,
        "given twice: a",
    ),
    "a spot job without a waiting time": (
        _with(EnableManagedSpotTraining=True),
        ValidationError,
        "Invalid MaxWaitTimeInSeconds",
    ),
    "a metric without a group": (
        _with(**_algorithm(MetricDefinitions=[{"Name": "loss", "Regex": "loss=.*"}])),
        ValidationError,
        "needs a group",
    ),
    "a metric that is no expression": (
        _with(**_algorithm(MetricDefinitions=[{"Name": "loss", "Regex": "loss=("}])),
        ValidationError,
        "not a regular expression",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_request_is_refused_before_anything_is_recorded(
    machine: Machine, case: tuple[dict[str, Any], type[Exception], str]
) -> None:
    request, error, words = case
    with pytest.raises(error, match=words):
        machine.training.create_training_job(request)
    assert machine.training.list_training_jobs({}) == {"TrainingJobSummaries": []}


def test_names_are_unique_and_a_missing_job_is_said_to_be_missing(machine: Machine) -> None:
    machine.train("once", "pass")
    with pytest.raises(InUse, match="must be unique"):
        machine.training.create_training_job(training_request("once", "pass"))
    with pytest.raises(ValidationError, match=r"Requested resource not found\."):
        machine.training.describe_training_job({"TrainingJobName": "ghost"})
