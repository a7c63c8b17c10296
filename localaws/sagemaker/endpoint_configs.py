"""Endpoint configurations: which models serve, on how many instances, with what captured.

A configuration never changes. It may be deleted while an endpoint serves from it, as on AWS: the
endpoint has taken what it needs (`fleet_spec`).
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from localaws.context import Context
from localaws.errors import LimitExceeded, NotImplementedHere, ValidationError
from localaws.hosting.spec import FleetSpec, VariantSpec
from localaws.jobs.checks import unique
from localaws.jobs.images import Images
from localaws.sagemaker.listing import page
from localaws.sagemaker.models import Models
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags

_KIND = "endpoint-config"
# What SageMaker gives a container to answer its first ping; Describe does not show a default.
_STARTUP_SECONDS = 480.0
_MOST_INSTANCES = 8  # of one endpoint: each is a process that holds the model
_REFUSED = (
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "ShadowProductionVariants",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
    "MetricsConfig",
)
_REFUSED_OF_VARIANT = (
    "InstancePools",
    "AcceleratorType",
    "CoreDumpConfig",
    "ServerlessConfig",
    "ManagedInstanceScaling",
    "RoutingConfig",
    "CapacityReservationConfig",
    "AcceleratorPartitionLayouts",
)


class EndpointConfigs:
    """CreateEndpointConfig and its siblings."""

    def __init__(self, context: Context, models: Models) -> None:
        self._context, self._store, self._models = context, context.store, models
        self._images = Images(context.account)
        self._tags = Tags(context)

    def create_endpoint_config(self, request: Request) -> Response:
        name = request["EndpointConfigName"]
        arn = self._arn(name)
        variants = [self._checked(variant) for variant in request["ProductionVariants"]]
        unique("ProductionVariants", [variant["VariantName"] for variant in variants])
        for member in _REFUSED:
            if request.get(member):
                raise NotImplementedHere(f"localaws has no {member} in CreateEndpointConfig.")
        _check_capture(request)
        with self._store.transaction():
            if self._store.get(_KIND, name):
                raise ValidationError(
                    f'Cannot create already existing endpoint configuration "{arn}".'
                )
            record = {key: value for key, value in request.items() if key != "Tags"}
            record |= {"ProductionVariants": variants, "CreationTime": self._context.now()}
            self._store.put(_KIND, name, record)
            self._tags.keep(arn, request.get("Tags"))
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, request: Request) -> Response:
        record = self._record(request["EndpointConfigName"])
        return {**record, "EndpointConfigArn": self._arn(record["EndpointConfigName"])}

    def list_endpoint_configs(self, request: Request) -> Response:
        found, more = page(
            self._store.all(_KIND), request, name="EndpointConfigName", default_size=10
        )
        configs = [
            {
                "EndpointConfigName": record["EndpointConfigName"],
                "EndpointConfigArn": self._arn(record["EndpointConfigName"]),
                "CreationTime": record["CreationTime"],
            }
            for record in found
        ]
        return {"EndpointConfigs": configs, **more}

    def delete_endpoint_config(self, request: Request) -> Response:
        name = request["EndpointConfigName"]
        self._record(name)
        self._store.delete(_KIND, name)
        self._tags.drop(self._arn(name))
        return {}

    def fleet_spec(self, endpoint: str, name: str) -> FleetSpec:
        """All that is needed to serve the configuration. ValidationError for what is missing."""
        record = self._record(name)
        variants = tuple(self._variant_spec(variant) for variant in record["ProductionVariants"])
        count = sum(variant.instances for variant in variants)
        if count > _MOST_INSTANCES:
            raise LimitExceeded(
                f"localaws hosts at most {_MOST_INSTANCES} instances an endpoint; {name} asks for"
                f" {count}."
            )
        return FleetSpec(endpoint, name, variants, record.get("DataCaptureConfig"))

    def _variant_spec(self, variant: Response) -> VariantSpec:
        model = self._models.describe_model({"ModelName": variant["ModelName"]})
        container = self._models.container(variant["ModelName"])
        self._images.serving(container["Image"])  # refuses an image that serves nothing
        if not model.get("ExecutionRoleArn"):
            raise ValidationError(f"Model {variant['ModelName']} needs an ExecutionRoleArn.")
        source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
        return VariantSpec(
            name=variant["VariantName"],
            model_name=variant["ModelName"],
            image=container["Image"],
            model_uri=container.get("ModelDataUrl") or source.get("S3Uri"),
            is_archive=source.get("CompressionType", "Gzip") == "Gzip",
            environment=container.get("Environment") or {},
            role_arn=model["ExecutionRoleArn"],
            is_isolated=model["EnableNetworkIsolation"],
            startup_seconds=variant.get(
                "ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_SECONDS
            ),
            instances=variant["InitialInstanceCount"],
            weight=variant["InitialVariantWeight"],
        )

    def _checked(self, variant: Response) -> Response:
        name = variant["VariantName"]
        for member in _REFUSED_OF_VARIANT:
            if variant.get(member):
                raise NotImplementedHere(f"localaws has no {member} (production variant {name}).")
        for member in ("ModelName", "InitialInstanceCount", "InstanceType"):
            if not variant.get(member):
                raise ValidationError(f"Production variant {name} needs {member}.")
        self._models.describe_model({"ModelName": variant["ModelName"]})
        return {"InitialVariantWeight": 1.0, **variant}

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"endpoint-config/{name.lower()}")

    def _record(self, name: str) -> Response:
        record = self._store.get(_KIND, name)
        if record is None:
            raise ValidationError(f'Could not find endpoint configuration "{self._arn(name)}".')
        return record


def _check_capture(request: Request) -> None:
    capture = request.get("DataCaptureConfig")
    if capture and not capture["DestinationS3Uri"].startswith("s3://"):
        raise ValidationError("DestinationS3Uri of DataCaptureConfig must begin with s3://.")
