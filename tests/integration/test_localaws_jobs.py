"""Jobs through the server, as a boto3 user meets them."""

import io
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.roles import make_role
from tests.unit.job_kit import (
    eventually,
    processing_input,
    processing_outputs,
    processing_request,
    training_request,
)


def log_lines(aws: Any, kind: str, job: str) -> list[str]:
    logs, group = aws.client("logs"), f"/aws/sagemaker/{kind}Jobs"
    try:
        found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [
        event["message"]
        for stream in found["logStreams"]
        for event in logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
    ]


def test_boto3_in_a_job_reaches_this_embedded_aws_as_the_jobs_role(local_aws: Any) -> None:
    role = make_role(local_aws, "jobs-caller")
    sagemaker = local_aws.client("sagemaker")
    sagemaker.create_processing_job(
        **processing_request(
            "who-am-i",
            """
            import boto3
            print(boto3.client("sts", region_name="us-east-1").get_caller_identity()["Arn"])
            """,
            RoleArn=role,
        )
    )
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName="who-am-i", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    [said] = log_lines(local_aws, "Processing", "who-am-i")
    assert said.endswith(":assumed-role/jobs-caller/SageMaker-who-am-i")


def test_a_shell_entrypoint_unpacks_its_code_and_passes_its_arguments(local_aws: Any) -> None:
    """As the SDK's FrameworkProcessor does; the archive names the user of another machine."""
    role = make_role(local_aws, "jobs-framework")
    s3, sagemaker = local_aws.client("s3"), local_aws.client("sagemaker")
    s3.create_bucket(Bucket="jobs-framework")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        script = b"import sys; open('/opt/ml/processing/out/args', 'w').write(repr(sys.argv[1:]))"
        member = tarfile.TarInfo("work.py")
        member.size, member.uid, member.gid = len(script), 54321, 54321
        archive.addfile(member, io.BytesIO(script))
    s3.put_object(Bucket="jobs-framework", Key="c/sourcedir.tar.gz", Body=packed.getvalue())
    run = "#!/bin/bash\nset -e\ncd /opt/ml/processing/input/code\ntar -xzf sourcedir.tar.gz\n"
    s3.put_object(Bucket="jobs-framework", Key="e/run.sh", Body=f'{run}python work.py "$@"\n')
    request = processing_request(
        "framework",
        "",
        RoleArn=role,
        ProcessingInputs=[
            processing_input("code", "s3://jobs-framework/c/", "/opt/ml/processing/input/code"),
            processing_input(
                "entrypoint", "s3://jobs-framework/e/run.sh", "/opt/ml/processing/input/entrypoint"
            ),
        ],
        ProcessingOutputConfig=processing_outputs(
            "/opt/ml/processing/out", "s3://jobs-framework/o"
        ),
    )
    request["AppSpecification"].update(
        ContainerEntrypoint=["/bin/bash", "/opt/ml/processing/input/entrypoint/run.sh"],
        ContainerArguments=["--name", "two words"],
    )
    sagemaker.create_processing_job(**request)
    sagemaker.get_waiter("processing_job_completed_or_stopped").wait(
        ProcessingJobName="framework", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    job = sagemaker.describe_processing_job(ProcessingJobName="framework")
    assert job["ProcessingJobStatus"] == "Completed", log_lines(
        local_aws, "Processing", "framework"
    )
    result = s3.get_object(Bucket="jobs-framework", Key="o/args")["Body"].read()
    assert result == b"['--name', 'two words']"


def test_a_request_is_refused_as_aws_refuses_it(local_aws: Any) -> None:
    sagemaker = local_aws.client("sagemaker")
    role = make_role(local_aws, "jobs-refused")
    with pytest.raises(ClientError, match=r"ValidationException.*Could not assume role"):
        sagemaker.create_training_job(**training_request("refused", "pass", RoleArn=f"{role}-not"))
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found"):
        sagemaker.describe_training_job(TrainingJobName="refused")
    request = training_request("refused", "pass", RoleArn=role)
    request["ResourceConfig"]["InstanceCount"] = 2
    with pytest.raises(ClientError, match=r"NotImplemented.*one instance a job"):
        sagemaker.create_training_job(**request)


def test_after_a_kill_a_job_is_failed_its_log_is_there_and_its_name_is_taken(
    fresh_local_aws: Any,
) -> None:
    role = make_role(fresh_local_aws, "jobs-killed")
    fresh_local_aws.restart()  # a role younger than a second may be lost with a kill
    sagemaker = fresh_local_aws.client("sagemaker")
    fresh_local_aws.client("s3").create_bucket(Bucket="data")
    request = training_request(
        "victim", "import time; print('epoch 1', flush=True); time.sleep(60)", RoleArn=role
    )
    sagemaker.create_training_job(**request)
    eventually(
        lambda: "epoch 1" in log_lines(fresh_local_aws, "Training", "victim"), "the job's log"
    )
    running = sagemaker.describe_training_job(TrainingJobName="victim")
    assert (running["TrainingJobStatus"], running["SecondaryStatus"]) == ("InProgress", "Training")
    fresh_local_aws.kill()
    fresh_local_aws.start()
    job = sagemaker.describe_training_job(TrainingJobName="victim")
    assert job["TrainingJobStatus"] == "Failed"
    assert "localaws was stopped while this job was running" in job["FailureReason"]
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_training_job(**request)
    again = {**request, "TrainingJobName": "victim-again"}
    again["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python", "-c", "pass"]
    sagemaker.create_training_job(**again)
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName="victim-again", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
