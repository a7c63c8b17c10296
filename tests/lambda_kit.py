"""What the tests of the functions share: payload files, a context, stubbed clients."""

import datetime
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.stub import Stubber

from lambdas.deployment import Options

EVENTS = Path(__file__).parent / "events" / "lambdas"
ACCOUNT, REGION, PREFIX = "123456789012", "eu-west-1", "scones-prod"
OPTIONS = Options(PREFIX, PREFIX, PREFIX, ACCOUNT)
CONTEXT = SimpleNamespace(aws_request_id="5f0d3a5e-1f0e-4a3c-9a1c-0d3f5b8e7c11")
NOON = datetime.datetime(2026, 11, 22, 12, 0, 0, 123000, datetime.UTC)
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{PREFIX}-deployment"
ALIAS = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{PREFIX}-inference:live"


def event(name: str) -> Any:
    """A payload as AWS delivers it."""
    return json.loads((EVENTS / f"{name}.json").read_text("utf-8"))


def package_arn(version: int) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{PREFIX}/{version}"


def stubbed(service: str) -> tuple[Any, Stubber]:
    """A real client that answers what the test says, and checks each request's shape."""
    client = boto3.client(
        service, region_name=REGION, aws_access_key_id="none", aws_secret_access_key="none"
    )
    stub = Stubber(client)
    stub.activate()
    return client, stub


def described_package(version: int = 3, status: str = "Approved", **more: Any) -> dict[str, Any]:
    root = f"s3://{PREFIX}-{ACCOUNT}-{REGION}/executions/abc123"
    metrics = {
        "Statistics": {
            "ContentType": "application/json",
            "S3Uri": f"{root}/evaluation/evaluation.json",
        }
    }
    return {
        "ModelPackageName": PREFIX,
        "ModelPackageGroupName": PREFIX,
        "ModelPackageVersion": version,
        "ModelPackageArn": package_arn(version),
        "CreationTime": NOON - datetime.timedelta(hours=1),
        "LastModifiedTime": NOON,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelApprovalStatus": status,
        "ModelMetrics": {"ModelQuality": metrics},
        "CustomerMetadataProperties": {"confidence_threshold": "0.83", "accuracy": "0.91"},
        "InferenceSpecification": {
            "Containers": [{"Image": "image", "ModelDataUrl": f"{root}/model.tar.gz"}],
        },
        **more,
    }


def described_endpoint(config: str, status: str = "InService", **more: Any) -> dict[str, Any]:
    return {
        "EndpointName": PREFIX,
        "EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{PREFIX}",
        "EndpointConfigName": config,
        "EndpointStatus": status,
        "CreationTime": NOON,
        "LastModifiedTime": NOON,
        **more,
    }


def described_config(name: str, model: str, created: datetime.datetime = NOON) -> dict[str, Any]:
    return {
        "EndpointConfigName": name,
        "EndpointConfigArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/{name}",
        "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": model}],
        "CreationTime": created,
    }


def described_model(name: str, version: int) -> dict[str, Any]:
    return {
        "ModelName": name,
        "ModelArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{name}",
        "CreationTime": NOON,
        "PrimaryContainer": {"ModelPackageName": package_arn(version)},
    }


def missing(stub: Stubber, operation: str, what: str) -> None:
    stub.add_client_error(operation, "ValidationException", f'Could not find {what} "arn".')


def workflow_version(number: int) -> str:
    return f"{ALIAS.rpartition(':')[0]}:{number}"


def described_alias(number: int) -> dict[str, Any]:
    """The alias of the inference workflow, on one of its versions."""
    routing = [{"stateMachineVersionArn": workflow_version(number), "weight": 100}]
    return {"stateMachineAliasArn": ALIAS, "name": "live", "routingConfiguration": routing}


def described_workflow(number: int, package: int) -> dict[str, Any]:
    """A published version of the inference workflow, for a version of the model."""
    parameters = {"model_package_arn": package_arn(package)}
    return {
        "stateMachineArn": workflow_version(number),
        "name": f"{PREFIX}-inference",
        "definition": json.dumps({"States": {"ImageClassification": {"Parameters": parameters}}}),
        "roleArn": f"arn:aws:iam::{ACCOUNT}:role/inference",
        "type": "STANDARD",
        "creationDate": NOON,
    }


def serving(stub: Stubber, version: int, created: datetime.datetime = NOON) -> str:
    """Stubs the answers by which a function learns that a version serves."""
    model, config = f"{PREFIX}-v{version}", f"{PREFIX}-v{version}-0123abcd"
    stub.add_response("describe_endpoint", described_endpoint(config))
    stub.add_response("describe_endpoint_config", described_config(config, model, created))
    stub.add_response("describe_model", described_model(model, version))
    return config
