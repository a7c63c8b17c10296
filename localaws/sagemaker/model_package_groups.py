"""Model package groups: the names under which versions of one model are registered."""

from localaws.context import Context
from localaws.errors import Conflict, ValidationError
from localaws.sagemaker.listing import page
from localaws.sagemaker.service import Request, Response
from localaws.sagemaker.tags import Tags

GROUP, _PACKAGE = "model-package-group", "model-package"


class ModelPackageGroups:
    """The operations on groups and their resource policies. A missing group is, as on AWS, a
    ValidationException that says "does not exist".
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._tags = Tags(context)

    def create_model_package_group(self, request: Request) -> Response:
        if request.get("ManagedConfiguration"):
            raise ValidationError("localaws has no managed model package groups.")
        name = request["ModelPackageGroupName"]
        arn = self._group_arn(name)
        with self._store.transaction():
            if self._store.get(GROUP, name.lower()):
                raise ValidationError(f"Model Package Group already exists: {arn}")
            record = {
                "Key": name.lower(),
                "ModelPackageGroupName": name,
                "ModelPackageGroupArn": arn,
                "ModelPackageGroupDescription": request.get("ModelPackageGroupDescription"),
                "ModelPackageGroupStatus": "Completed",
                "CreationTime": self._context.now(),
                "CreatedBy": {},
                "LastVersion": 0,
            }
            self._store.put(GROUP, name.lower(), record)
            self._tags.keep(arn, request.get("Tags"))
        return {"ModelPackageGroupArn": arn}

    def describe_model_package_group(self, request: Request) -> Response:
        return _shown(self._group(request["ModelPackageGroupName"]))

    def list_model_package_groups(self, request: Request) -> Response:
        found, more = page(self._store.all(GROUP), request, name="ModelPackageGroupName")
        summaries = [
            {key: value for key, value in _shown(group).items() if key != "CreatedBy"}
            for group in found
        ]
        return {"ModelPackageGroupSummaryList": summaries, **more}

    def delete_model_package_group(self, request: Request) -> Response:
        with self._store.transaction():
            group = self._group(request["ModelPackageGroupName"])
            if self._store.all(_PACKAGE, f"{group['Key']}/"):
                raise Conflict(
                    f"Model Package Group {group['ModelPackageGroupArn']} still holds model "
                    "packages; delete them first."
                )
            self._store.delete(GROUP, group["Key"])
            self._tags.drop(group["ModelPackageGroupArn"])
        return {}

    def put_model_package_group_policy(self, request: Request) -> Response:
        group = self._group(request["ModelPackageGroupName"])
        self._store.update(GROUP, group["Key"], ResourcePolicy=request["ResourcePolicy"])
        return {"ModelPackageGroupArn": group["ModelPackageGroupArn"]}

    def get_model_package_group_policy(self, request: Request) -> Response:
        group = self._group(request["ModelPackageGroupName"])
        if not group.get("ResourcePolicy"):
            raise ValidationError(
                f"Cannot find a resource policy of {group['ModelPackageGroupArn']}."
            )
        return {"ResourcePolicy": group["ResourcePolicy"]}

    def delete_model_package_group_policy(self, request: Request) -> Response:
        group = self._group(request["ModelPackageGroupName"])
        self._store.update(GROUP, group["Key"], ResourcePolicy=None)
        return {}

    def _group_arn(self, name: str) -> str:
        return self._context.arn("sagemaker", f"model-package-group/{name.lower()}")

    def _group(self, name_or_arn: str) -> Response:
        name = name_or_arn.rpartition("/")[2]
        record = self._store.get(GROUP, name.lower())
        if record is None:
            raise ValidationError(f"ModelPackageGroup {self._group_arn(name)} does not exist.")
        return record


def _shown(group: Response) -> Response:
    hidden = ("Key", "LastVersion", "ResourcePolicy")
    return {key: value for key, value in group.items() if key not in hidden and value is not None}
