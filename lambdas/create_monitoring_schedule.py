"""createMonitoringSchedule: the endpoint's hourly monitor, for accounts that may have one.

Model Monitor is closed to new customers. Such an account is no failure of a deployment: the answer
then names the other backend, `processing`, which EventBridge Scheduler drives.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMonitoringSchedule.html
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from lambdas import baseline, deployment, log, placement
from lambdas.clients import client
from lambdas.log import Json

_INPUT, _OUTPUT = "/opt/ml/processing/input/endpoint", "/opt/ml/processing/output"
_REFUSALS = ("maintenance mode", "not available to new customers")


def schedule_request(endpoint_name: str, baselines: Json, environment: Mapping[str, str]) -> Json:
    """The request; `baselines` are the DriftCheckBaselines of the version that is deployed."""
    job = _job(endpoint_name, baselines["ModelDataQuality"], environment)
    network = placement.vpc(environment)
    if network:
        job["NetworkConfig"] = {"VpcConfig": network}
    return {
        "MonitoringScheduleName": endpoint_name,
        "Tags": placement.tags(environment),
        "MonitoringScheduleConfig": {
            "ScheduleConfig": {"ScheduleExpression": environment["MONITORING_CRON"]},
            "MonitoringJobDefinition": job,
            "MonitoringType": "DataQuality",
        },
    }


def _job(endpoint_name: str, drift: Json, environment: Mapping[str, str]) -> Json:
    key = environment["KMS_KEY_ARN"]
    output = {
        "S3Uri": f"s3://{environment['BUCKET_NAME']}/monitoring",
        "LocalPath": _OUTPUT,
        "S3UploadMode": "Continuous",
    }
    formats = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
    return {
        "BaselineConfig": {
            "ConstraintsResource": {"S3Uri": drift["Constraints"]["S3Uri"]},
            "StatisticsResource": {"S3Uri": drift["Statistics"]["S3Uri"]},
        },
        "MonitoringInputs": [
            {"EndpointInput": {"EndpointName": endpoint_name, "LocalPath": _INPUT}}
        ],
        "MonitoringOutputConfig": {
            "MonitoringOutputs": [{"S3Output": output}],
            "KmsKeyId": key,
        },
        "MonitoringResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": environment["MONITORING_INSTANCE_TYPE"],
                "VolumeSizeInGB": 20,
                "VolumeKmsKeyId": key,
            }
        },
        "MonitoringAppSpecification": {
            "ImageUri": environment["ANALYZER_IMAGE_URI"],
            "RecordPreprocessorSourceUri": environment["PREPROCESSOR_URL"],
        },
        "Environment": {
            "dataset_format": json.dumps(formats, separators=(",", ":")),
            "dataset_source": _INPUT,
            "output_path": _OUTPUT,
            "publish_cloudwatch_metrics": "Disabled",
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 1800},
        "RoleArn": environment["MONITORING_ROLE_ARN"],
    }


def ensure(request: Json, sagemaker: Any) -> Json:
    """Creates or updates the schedule; returns `backend` (`schedule` or `processing`) and why."""
    name = request["MonitoringScheduleName"]
    there = deployment.found_or_none(
        lambda: sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
    )
    try:
        if there:
            known = {key: value for key, value in request.items() if key != "Tags"}
            sagemaker.update_monitoring_schedule(**known)
        else:
            sagemaker.create_monitoring_schedule(**request)
    except ClientError as error:
        message = deployment.message_of(error)
        if any(refusal in message for refusal in _REFUSALS):
            return {"backend": "processing", "schedule_name": None, "reason": message}
        if "already exist" not in message.lower():
            raise
    return {"backend": "schedule", "schedule_name": name, "reason": "the account has schedules"}


def handler(event: Json, context: Any) -> Json:
    """State: `plan`."""
    with log.call("createMonitoringSchedule", event, context) as call:
        if os.environ["MONITORING_BACKEND"] == "processing":
            reason = "the settings say processing"
            return {"backend": "processing", "schedule_name": None, "reason": reason}
        plan, sagemaker = call.state["plan"], client("sagemaker")
        package = deployment.package(plan["model_package_arn"], sagemaker)
        try:
            known = baseline.of_package(package)
        except baseline.NoBaseline as error:  # it serves all the same, unwatched
            call.say(str(error), "WARNING")
            return {"backend": "none", "schedule_name": None, "reason": str(error)}
        outcome = ensure(schedule_request(plan["endpoint_name"], known, os.environ), sagemaker)
        call.say("monitoring", **outcome)
        return outcome
