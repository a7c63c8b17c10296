"""Models: what CreateModel notes down for an endpoint to host later."""

from localaws.context import Context
from localaws.errors import ValidationError
from localaws.sagemaker.listing import page
from localaws.sagemaker.model_data import require_model_data
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags

_KIND = "model"


class Models:
    """CreateModel, DescribeModel, ListModels and DeleteModel."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._tags = Tags(context)

    def create_model(self, request: Request) -> Response:
        name = request["ModelName"]
        arn = self._arn(name)
        primary = request.get("PrimaryContainer")
        containers = request.get("Containers") or ([primary] if primary else [])
        if primary and request.get("Containers"):
            raise ValidationError("Give either PrimaryContainer or Containers, not both.")
        require_model_data(self._context.objects, containers)
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

    def _arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"model/{name.lower()}")

    def _record(self, name: str) -> Response:
        record = self._store.get(_KIND, name)
        if record is None:
            raise ValidationError(f'Could not find model "{self._arn(name)}".')
        return record
