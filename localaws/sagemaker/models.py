"""Models: what CreateModel notes down for an endpoint to host later."""

from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.errors import NotImplementedHere, ValidationError
from localaws.sagemaker.listing import page
from localaws.sagemaker.model_data import require_model_data
from localaws.sagemaker.registry import ModelRegistry
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags

_KIND = "model"


class Models:
    """CreateModel, DescribeModel, ListModels and DeleteModel.

    `assume_role(role_arn, session_name)` raises ValidationError for a role that SageMaker cannot
    assume.
    """

    def __init__(
        self, context: Context, assume_role: Callable[[str, str], Any] = lambda arn, name: None
    ) -> None:
        self._context = context
        self._store = context.store
        self._assume_role = assume_role
        self._packages = ModelRegistry(context)
        self._tags = Tags(context)

    def create_model(self, request: Request) -> Response:
        name = request["ModelName"]
        arn = self._arn(name)
        container = self._resolved(_only_container(request))
        require_model_data(self._context.objects, [container])
        if request.get("ExecutionRoleArn"):
            self._assume_role(request["ExecutionRoleArn"], f"SageMaker-{name}"[:64])
        with self._store.transaction():
            if self._store.get(_KIND, name):
                raise ValidationError(f'Cannot create already existing model "{arn}".')
            record = {key: value for key, value in request.items() if key != "Tags"}
            self._store.put(_KIND, name, {**record, "CreationTime": self._context.now()})
            self._tags.keep(arn, request.get("Tags"))
        return {"ModelArn": arn}

    def describe_model(self, request: Request) -> Response:
        record = self._record(request["ModelName"])
        isolated = record.get("EnableNetworkIsolation", False)
        return {
            **record,
            "ModelArn": self._arn(record["ModelName"]),
            "EnableNetworkIsolation": isolated,
        }

    def list_models(self, request: Request) -> Response:
        found, more = page(self._store.all(_KIND), request, name="ModelName")
        models = [
            {
                "ModelName": record["ModelName"],
                "ModelArn": self._arn(record["ModelName"]),
                "CreationTime": record["CreationTime"],
            }
            for record in found
        ]
        return {"Models": models, **more}

    def delete_model(self, request: Request) -> Response:
        self._record(request["ModelName"])
        self._store.delete(_KIND, request["ModelName"])
        self._tags.drop(self._arn(request["ModelName"]))
        return {}

    def container(self, name: str) -> Response:
        """The model's container, with what its model package says filled in."""
        return self._resolved(_only_container(self._record(name)))

    def _resolved(self, container: Response) -> Response:
        package = container.get("ModelPackageName")
        if not package:
            if not container.get("Image"):
                raise ValidationError("A container needs an Image or a ModelPackageName.")
            return container
        described = self._packages.describe_model_package({"ModelPackageName": package})
        found = (described.get("InferenceSpecification") or {}).get("Containers") or []
        if len(found) != 1:
            raise ValidationError(
                f"Model package {package} has {len(found)} containers to host; localaws needs one."
            )
        environment = {**found[0].get("Environment", {}), **container.get("Environment", {})}
        return {**found[0], "Environment": environment}

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"model/{name.lower()}")

    def _record(self, name: str) -> Response:
        record = self._store.get(_KIND, name)
        if record is None:
            raise ValidationError(f'Could not find model "{self._arn(name)}".')
        return record


def _only_container(request: Request) -> Response:
    primary, several = request.get("PrimaryContainer"), request.get("Containers")
    if primary and several:
        raise ValidationError("Give either PrimaryContainer or Containers, not both.")
    containers = several or ([primary] if primary else [])
    if not containers:
        raise ValidationError("Give a PrimaryContainer.")
    if len(containers) > 1:
        raise NotImplementedHere("localaws hosts models of one container, no inference pipeline.")
    container: Response = containers[0]
    if container.get("Mode") == "MultiModel":
        raise NotImplementedHere("localaws has no multi-model endpoints (Mode MultiModel).")
    return container
