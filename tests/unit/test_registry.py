"""Which version a new one is held against: what serves, not what was approved last."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipelines.registry import in_production

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/scones-prod"
Json = dict[str, Any]


class SageMaker:
    """A registry of approved versions, and an endpoint that serves one of them or is not there."""

    def __init__(self, versions: int, serves: int | None) -> None:
        self._versions, self._serves = versions, serves

    def list_model_packages(self, **request: Any) -> Json:
        numbers = range(self._versions, 0, -1)
        summaries = [{"ModelPackageArn": f"{ARN}/{number}"} for number in numbers]
        return {"ModelPackageSummaryList": summaries}

    def describe_model_package(self, ModelPackageName: str) -> Json:
        return {
            "ModelPackageArn": ModelPackageName,
            "ModelPackageVersion": int(ModelPackageName.rpartition("/")[2]),
            "ModelApprovalStatus": "Approved",
        }

    def describe_endpoint(self, EndpointName: str) -> Json:
        if self._serves is None:
            message = f'Could not find endpoint "{EndpointName}".'
            error = {"Code": "ValidationException", "Message": message}
            raise ClientError({"Error": error}, "DescribeEndpoint")
        return {"EndpointConfigName": f"{EndpointName}-config"}

    def describe_endpoint_config(self, EndpointConfigName: str) -> Json:
        return {"ProductionVariants": [{"ModelName": f"{EndpointConfigName}-model"}]}

    def describe_model(self, ModelName: str) -> Json:
        return {"PrimaryContainer": {"ModelPackageName": f"{ARN}/{self._serves}"}}


@pytest.mark.parametrize(
    ("versions", "serves", "expected"),
    [(3, 2, 2), (3, None, 3), (0, None, None)],
    ids=["the newest does not serve", "nothing serves yet", "nothing is approved"],
)
def test_a_new_version_is_held_against_the_one_that_serves(
    versions: int, serves: int | None, expected: int | None
) -> None:
    found = in_production("scones-prod", "scones-prod", SageMaker(versions, serves))
    assert (found and found.version) == expected
