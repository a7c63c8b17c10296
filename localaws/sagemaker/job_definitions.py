"""Data quality job definitions: what a monitoring schedule will run, kept under a name.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateDataQualityJobDefinition.html
"""

import os
from pathlib import Path

from localaws.context import Context
from localaws.errors import InUse, NotFound, ValidationError
from localaws.sagemaker.listing import page
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags

_KIND = "data-quality-job-definition"
MAINTENANCE = "model-monitor-maintenance"  # a file of this name in the server's folder
_SUMMARY = ("CreationTime", "EndpointName")


class ModelMonitor:
    """Whether this account has Model Monitor, which is closed to new customers of AWS.

    It has, unless the environment says LOCALAWS_MODEL_MONITOR=maintenance or the server's folder
    holds a file `model-monitor-maintenance` (which can come and go while the server runs).
    """

    def __init__(self, home: Path) -> None:
        self._switch = home / MAINTENANCE

    def require(self) -> None:
        """ValidationException, in the words of AWS, when the account has none."""
        if os.environ.get("LOCALAWS_MODEL_MONITOR") == "maintenance" or self._switch.exists():
            raise ValidationError(
                "This operation is in maintenance mode and is not available to new customers. "
                "Existing customers are unaffected."
            )


class DataQualityJobDefinitions:
    """CreateDataQualityJobDefinition, Describe, List and Delete."""

    def __init__(self, context: Context) -> None:
        self._context, self._store = context, context.store
        self._monitor, self._tags = ModelMonitor(context.home), Tags(context)

    def create_data_quality_job_definition(self, request: Request) -> Response:
        self._monitor.require()
        name = request["JobDefinitionName"]
        endpoint = (request["DataQualityJobInput"].get("EndpointInput") or {}).get("EndpointName")
        if endpoint:
            require_endpoint(self._context, endpoint)
        arn = self._arn(name)
        with self._store.transaction():
            if self._store.get(_KIND, name):
                raise InUse(f"Job definition {arn} already exists.")
            record = {key: value for key, value in request.items() if key != "Tags"}
            record |= {"CreationTime": self._context.now(), "EndpointName": endpoint}
            self._store.put(_KIND, name, record)
            self._tags.keep(arn, request.get("Tags"))
        return {"JobDefinitionArn": arn}

    def describe_data_quality_job_definition(self, request: Request) -> Response:
        record = self.find(request["JobDefinitionName"])
        shown = {key: value for key, value in record.items() if key != "EndpointName"}
        return {**shown, "JobDefinitionArn": self._arn(record["JobDefinitionName"])}

    def list_data_quality_job_definitions(self, request: Request) -> Response:
        endpoint = request.get("EndpointName")
        records = [r for r in self._store.all(_KIND) if endpoint in (None, r["EndpointName"])]
        found, more = page(records, request, name="JobDefinitionName", default_size=10)
        summaries = [
            {
                "MonitoringJobDefinitionName": record["JobDefinitionName"],
                "MonitoringJobDefinitionArn": self._arn(record["JobDefinitionName"]),
                **{member: record[member] for member in _SUMMARY if record[member]},
            }
            for record in found
        ]
        return {"JobDefinitionSummaries": summaries, **more}

    def delete_data_quality_job_definition(self, request: Request) -> Response:
        name = request["JobDefinitionName"]
        self.find(name)
        self._store.delete(_KIND, name)
        self._tags.drop(self._arn(name))
        return {}

    def find(self, name: str) -> Response:
        """The record. ResourceNotFound when there is none."""
        record = self._store.get(_KIND, name)
        if record is None:
            raise NotFound(f"Job definition {self._arn(name)} does not exist.")
        return record

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"data-quality-job-definition/{name.lower()}")


def as_inline(definition: Response) -> Response:
    """A data quality job definition in the shape of a MonitoringJobDefinition."""
    app = definition["DataQualityAppSpecification"]
    shaped = {
        "BaselineConfig": definition.get("DataQualityBaselineConfig"),
        "MonitoringInputs": [definition["DataQualityJobInput"]],
        "MonitoringOutputConfig": definition["DataQualityJobOutputConfig"],
        "MonitoringResources": definition["JobResources"],
        "MonitoringAppSpecification": {k: v for k, v in app.items() if k != "Environment"},
        "Environment": app.get("Environment"),
        "StoppingCondition": definition.get("StoppingCondition"),
        "NetworkConfig": definition.get("NetworkConfig"),
        "RoleArn": definition["RoleArn"],
    }
    return {name: value for name, value in shaped.items() if value is not None}


def require_endpoint(context: Context, name: str) -> None:
    """ValidationException for an endpoint that is not there."""
    if context.store.get("endpoint", name) is None:
        arn = context.arn("sagemaker", f"endpoint/{name.lower()}")
        raise ValidationError(f'Could not find endpoint "{arn}".')
