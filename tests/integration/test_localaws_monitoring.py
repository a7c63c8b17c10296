"""Monitoring through boto3: an image endpoint's capture, analyzed by schedules and plain jobs; and
events that start a pipeline with parameters."""

import datetime
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from PIL import Image

from tests.conftest import LocalAws
from tests.functions_kit import make_queue, receive
from tests.hosting_kit import archive, capture_config, config_request, model_request, poll
from tests.roles import make_role

Json = dict[str, Any]

BUCKET = "watched"
ANALYZER = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
CLUSTER = {
    "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.t3.large", "VolumeSizeInGB": 1}
}
LOCAL, OUTPUT = "/opt/ml/processing/input/endpoint", "/opt/ml/processing/output"
SCRIPT = Path(__file__).resolve().parents[2] / "monitoring" / "record_preprocessor.py"
HANDLER = """
    def model_fn(model_dir):
        return None

    def input_fn(body, content_type):
        return body

    def predict_fn(body, model):
        return "[0.9,0.1]" if len(body) % 2 else "[0.8,0.2]"

    def output_fn(prediction, accept):
        return prediction
"""
# Says in its failure which value the parameter had.
PIPELINE = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "Window", "Type": "String", "DefaultValue": "none"}],
    "Steps": [
        {
            "Name": "Say",
            "Type": "Fail",
            "Arguments": {
                "ErrorMessage": {
                    "Std:Join": {"On": " ", "Values": ["window", {"Get": "Parameters.Window"}]}
                }
            },
        }
    ],
}


class Account:
    """A server whose captures are written after a second, with an image endpoint, `images`."""

    def __init__(self, home: Path) -> None:
        self.aws = LocalAws(home)
        self.sagemaker, self.s3 = self.aws.client("sagemaker"), self.aws.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.role = make_role(self.aws, "watched")
        self.put("model.tar.gz", archive(HANDLER))
        self.put("code/record_preprocessor.py", SCRIPT.read_bytes())
        model = model_request("images", self.role, f"s3://{BUCKET}/model.tar.gz")
        self.sagemaker.create_model(**model)
        capture = capture_config(f"s3://{BUCKET}/capture")
        config = config_request("images", "images", DataCaptureConfig=capture)
        self.sagemaker.create_endpoint_config(**config)
        self.sagemaker.create_endpoint(EndpointName="images", EndpointConfigName="images")
        poll(lambda: self._status() == "InService", 60)

    def _status(self) -> str:
        described = self.sagemaker.describe_endpoint(EndpointName="images")
        return str(described["EndpointStatus"])

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def read(self, key: str) -> Json:
        text = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        found: Json = json.loads(text)
        return found

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]

    def ask(self, brightness: range) -> None:
        """Shows the endpoint a plain image of each brightness, and waits for the capture."""
        runtime, before = self.aws.client("sagemaker-runtime"), self.captured()
        for level in brightness:
            image = io.BytesIO()
            Image.new("RGB", (8, 8), (level, level, level // 2)).save(image, "PNG")
            runtime.invoke_endpoint(
                EndpointName="images",
                Body=image.getvalue(),
                ContentType="image/png",
                Accept="application/json",
            )
        poll(lambda: self.captured() == before + len(brightness))

    def captured(self) -> int:
        bodies = [self.s3.get_object(Bucket=BUCKET, Key=key) for key in self.keys("capture/")]
        return sum(len(body["Body"].read().splitlines()) for body in bodies)

    def baseline(self) -> None:
        """Statistics and constraints of what is captured so far, by a plain job."""
        source = {
            "S3Uri": f"s3://{BUCKET}/capture",
            "LocalPath": LOCAL,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        }
        script = {
            **source,
            "S3Uri": f"s3://{BUCKET}/code/record_preprocessor.py",
            "LocalPath": "/opt/ml/processing/code",
        }
        target = {"S3Uri": f"s3://{BUCKET}/baseline", "LocalPath": OUTPUT}
        self.sagemaker.create_processing_job(
            ProcessingJobName="baseline",
            AppSpecification={"ImageUri": ANALYZER},
            Environment={
                "dataset_source": LOCAL,
                "dataset_format": json.dumps(
                    {
                        "sagemakerCaptureJson": {
                            "captureIndexNames": ["endpointInput", "endpointOutput"]
                        }
                    }
                ),
                "output_path": OUTPUT,
                "record_preprocessor_script": "/opt/ml/processing/code/record_preprocessor.py",
                "publish_cloudwatch_metrics": "Disabled",
            },
            ProcessingInputs=[
                {"InputName": "capture", "S3Input": source},
                {"InputName": "code", "S3Input": script},
            ],
            ProcessingOutputConfig={
                "Outputs": [{"OutputName": "o", "S3Output": {**target, "S3UploadMode": "EndOfJob"}}]
            },
            ProcessingResources=CLUSTER,
            NetworkConfig={"EnableNetworkIsolation": True},
            RoleArn=self.role,
        )
        described = poll(lambda: self._ended("baseline"), 60)
        assert described["ProcessingJobStatus"] == "Completed", described

    def _ended(self, job: str) -> Json | None:
        found: Json = self.sagemaker.describe_processing_job(ProcessingJobName=job)
        return found if found["ProcessingJobStatus"] in ("Completed", "Failed") else None

    def run_now(self, schedule: str) -> Json:
        """Watches the last hour at once; the execution when it has ended."""
        now = {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
        self.sagemaker.create_monitoring_schedule(
            MonitoringScheduleName=schedule,
            MonitoringScheduleConfig={
                "ScheduleConfig": {"ScheduleExpression": "NOW", **now},
                "MonitoringJobDefinitionName": "images",
                "MonitoringType": "DataQuality",
            },
        )

        def look() -> Json | None:
            found = self.sagemaker.list_monitoring_executions(MonitoringScheduleName=schedule)
            for execution in found["MonitoringExecutionSummaries"]:
                if execution["MonitoringExecutionStatus"] not in ("Pending", "InProgress"):
                    return dict(execution)
            return None

        ended: Json = poll(look, 60)
        return ended

    def define(self) -> None:
        where = f"s3://{BUCKET}/baseline"
        self.sagemaker.create_data_quality_job_definition(
            JobDefinitionName="images",
            DataQualityBaselineConfig={
                "ConstraintsResource": {"S3Uri": f"{where}/constraints.json"},
                "StatisticsResource": {"S3Uri": f"{where}/statistics.json"},
            },
            DataQualityAppSpecification={
                "ImageUri": ANALYZER,
                "RecordPreprocessorSourceUri": f"s3://{BUCKET}/code/record_preprocessor.py",
            },
            DataQualityJobInput={"EndpointInput": {"EndpointName": "images", "LocalPath": LOCAL}},
            DataQualityJobOutputConfig={
                "MonitoringOutputs": [
                    {"S3Output": {"S3Uri": f"s3://{BUCKET}/monitoring", "LocalPath": OUTPUT}}
                ]
            },
            JobResources=CLUSTER,
            NetworkConfig={"EnableNetworkIsolation": True},
            RoleArn=self.role,
        )


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALAWS_CAPTURE_SECONDS", "1")
        account = Account(tmp_path_factory.mktemp("monitoring"))
        yield account
        account.aws.stop()


def rule_to_queue(aws: LocalAws, name: str, pattern: Json) -> str:
    url, arn = make_queue(aws, name)
    aws.client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
    aws.client("events").put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    return url


def test_images_are_watched_from_capture_to_metric_and_event(account: Account) -> None:
    aws = account.aws
    account.s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    on = account.s3.get_bucket_notification_configuration(Bucket=BUCKET)
    assert on["EventBridgeConfiguration"] == {}
    found = rule_to_queue(
        aws,
        "violations",
        {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"object": {"key": [{"suffix": "/constraint_violations.json"}]}},
        },
    )
    ended = rule_to_queue(
        aws,
        "monitored",
        {
            "detail-type": ["SageMaker Processing Job State Change"],
            "detail": {
                "ProcessingJobName": [{"prefix": "model-monitoring-"}],
                "ProcessingJobStatus": ["Completed"],
            },
        },
    )
    account.ask(range(120, 180))
    account.baseline()
    account.define()

    clean = account.run_now("clean")
    assert clean["MonitoringExecutionStatus"] == "Completed", clean
    account.ask(range(5, 65))
    dark = account.run_now("dark")
    assert dark["MonitoringExecutionStatus"] == "CompletedWithViolations", dark

    hour = f"{dark['ScheduledTime'].astimezone(datetime.UTC):%Y/%m/%d/%H}"
    folder = f"monitoring/images/dark/{hour}"
    assert_files_and_metric(account, dark, folder)
    told = [json.loads(receive(aws, found)["Body"]) for _ in range(2)]
    keys = {event["detail"]["object"]["key"] for event in told}
    assert f"{folder}/constraint_violations.json" in keys
    states = [json.loads(receive(aws, ended)["Body"]) for _ in range(2)]
    assert dark["ProcessingJobArn"] in {event["resources"][0] for event in states}


def assert_files_and_metric(account: Account, dark: Json, folder: str) -> None:
    """Of the run over dark images: its files, its job's message and the metric of its drift."""
    assert {f"{folder}/{name}" for name in ("statistics.json", "constraints.json")} < {
        *account.keys(folder)
    }
    violations = account.read(f"{folder}/constraint_violations.json")["violations"]
    assert "brightness" in {violation["feature_name"] for violation in violations}
    job = account.sagemaker.describe_processing_job(
        ProcessingJobName=dark["ProcessingJobArn"].rpartition("/")[2]
    )
    assert job["ExitMessage"].startswith("CompletedWithViolations: ")
    now = datetime.datetime.now(datetime.UTC)
    drift = account.aws.client("cloudwatch").get_metric_statistics(
        Namespace="aws/sagemaker/Endpoints/data-metrics",
        MetricName="feature_baseline_drift_brightness",
        Dimensions=[
            {"Name": "Endpoint", "Value": "images"},
            {"Name": "MonitoringSchedule", "Value": "dark"},
        ],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(hours=1),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert drift[0]["Maximum"] > 0.1


def test_an_object_that_is_put_is_one_event(account: Account) -> None:
    bucket = account.s3.create_bucket(Bucket="told")["Location"].strip("/")
    account.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    url = rule_to_queue(account.aws, "told", pattern)
    account.s3.put_object(Bucket=bucket, Key="a", Body=b"abc", Tagging="b=c")
    account.s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    account.s3.delete_object(Bucket=bucket, Key="a")
    told = [json.loads(receive(account.aws, url)["Body"]) for _ in range(3)]
    assert sorted((e["detail-type"], e["detail"]["reason"]) for e in told) == [
        ("Object Created", "CopyObject"),
        ("Object Created", "PutObject"),
        ("Object Deleted", "DeleteObject"),
    ]
    left = account.aws.client("sqs").receive_message(QueueUrl=url).get("Messages", [])
    assert left == []


def test_the_merger_image_and_model_quality_are_refused_by_name(account: Account) -> None:
    image = (
        "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-groundtruth-merger"
    )
    with pytest.raises(botocore.exceptions.ClientError, match="groundtruth-merger"):
        account.sagemaker.create_processing_job(
            ProcessingJobName="merge",
            AppSpecification={"ImageUri": image},
            ProcessingResources=CLUSTER,
            RoleArn=account.role,
        )
    with pytest.raises(botocore.exceptions.ClientError, match="ModelQuality"):
        account.sagemaker.create_monitoring_schedule(
            MonitoringScheduleName="quality",
            MonitoringScheduleConfig={
                "ScheduleConfig": {"ScheduleExpression": "cron(0 * ? * * *)"},
                "MonitoringJobDefinitionName": "quality",
                "MonitoringType": "ModelQuality",
            },
        )


def test_a_stack_starts_a_pipeline_with_parameters_by_object_and_by_schedule(
    account: Account,
) -> None:
    account.sagemaker.create_pipeline(
        PipelineName="watch", PipelineDefinition=json.dumps(PIPELINE), RoleArn=account.role
    )
    pipeline = account.sagemaker.describe_pipeline(PipelineName="watch")["PipelineArn"]
    url = rule_to_queue(
        account.aws,
        "pipelines",
        {
            "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
            "detail": {"currentPipelineExecutionStatus": ["Failed"]},
        },
    )
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=12)
    stack = stack_template(account.role, pipeline, f"at({moment:%Y-%m-%dT%H:%M:%S})")
    cloudformation = account.aws.client("cloudformation")
    cloudformation.create_stack(StackName="watch", TemplateBody=json.dumps(stack))
    status = cloudformation.describe_stacks(StackName="watch")["Stacks"][0]
    assert status["StackStatus"] == "CREATE_COMPLETE", status
    account.s3.put_object(Bucket="watch-told", Key="a", Body=b"")
    events = [json.loads(receive(account.aws, url, 60)["Body"]) for _ in range(2)]
    assert {event["detail"]["pipelineArn"] for event in events} == {pipeline}

    listed = account.sagemaker.list_pipeline_executions(PipelineName="watch")
    reasons = [e["PipelineExecutionFailureReason"] for e in listed["PipelineExecutionSummaries"]]
    assert sorted(reason.partition("window ")[2] for reason in reasons) == ["object", "schedule"]


def stack_template(role: str, pipeline: str, expression: str) -> Json:
    def target(value: str) -> Json:
        parameters = {"PipelineParameterList": [{"Name": "Window", "Value": value}]}
        return {"Arn": pipeline, "RoleArn": role, "SageMakerPipelineParameters": parameters}

    on = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    bucket = {"BucketName": "watch-told", "NotificationConfiguration": on}
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["watch-told"]}}}
    rule = {"EventPattern": pattern, "Targets": [{"Id": "1", **target("object")}]}
    schedule = {
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": target("schedule"),
    }
    return {
        "Resources": {
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": bucket},
            "Rule": {"Type": "AWS::Events::Rule", "Properties": rule},
            "Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": schedule},
        }
    }


def test_executions_and_schedules_outlive_a_restart(account: Account) -> None:
    before = account.sagemaker.list_monitoring_executions()["MonitoringExecutionSummaries"]
    account.aws.restart()
    after = account.sagemaker.list_monitoring_executions()["MonitoringExecutionSummaries"]
    assert after == before
    assert len(after) == 2
    described = account.sagemaker.describe_monitoring_schedule(MonitoringScheduleName="dark")
    last = described["LastMonitoringExecutionSummary"]
    assert last["MonitoringExecutionStatus"] == "CompletedWithViolations"
    assert described["MonitoringScheduleStatus"] == "Scheduled"
