"""The baseline in force: what the version behind the endpoint was registered with."""

from typing import Any

from lambdas import deployment
from lambdas.log import Json


class NoBaseline(Exception):
    """Nothing serves, or the version that does has no baseline."""


def of_package(package: deployment.Package) -> Json:
    """Its DriftCheckBaselines: `ModelDataQuality`, and `ModelQuality` if it has one.

    Raises NoBaseline for a version that was registered without.
    """
    found = package.description.get("DriftCheckBaselines") or {}
    if not {"Statistics", "Constraints"} <= set(found.get("ModelDataQuality") or {}):
        raise NoBaseline(
            f"Version {package.version} was registered without a baseline; train a new one."
        )
    return dict(found)


def of_endpoint(endpoint_name: str, sagemaker: Any) -> tuple[str, Json]:
    """The package behind the endpoint and its baselines. Raises NoBaseline."""
    there = deployment.endpoint(endpoint_name, sagemaker)
    config = (there or {}).get("EndpointConfigName")
    arn = deployment.served_package_arn(config, sagemaker) if config else None
    if arn is None:
        raise NoBaseline(f"Endpoint {endpoint_name!r} does not serve; approve a version first.")
    return arn, of_package(deployment.package(arn, sagemaker))
