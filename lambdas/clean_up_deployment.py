"""cleanUpDeployment: deletes the models and configurations that the endpoint does not use.

Only names that a deployment gives are looked at. A version that comes back later is made anew from
its package, so after each deployment one model and one configuration are left.
"""

import os
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from lambdas import deployment, log
from lambdas.clients import client
from lambdas.deployment import Options
from lambdas.log import Json


def clean_up(options: Options, sagemaker: Any) -> Json:
    """Returns the deleted names: `endpoint_configs` and `models`."""
    there = deployment.endpoint(options.endpoint_name, sagemaker)
    if there and there["EndpointStatus"] in deployment.BUSY:
        return {"endpoint_configs": [], "models": []}  # the next deployment cleans up
    config = there["EndpointConfigName"] if there else None
    configs = [name for name in _configs(options, sagemaker) if name != config]
    used = config.rpartition("-")[0] if config else None
    models = [name for name in _models(options, sagemaker) if name != used]
    for name in configs:
        _delete(sagemaker.delete_endpoint_config, EndpointConfigName=name)
    for name in models:
        _delete(sagemaker.delete_model, ModelName=name)
    return {"endpoint_configs": configs, "models": models}


def _configs(options: Options, sagemaker: Any) -> Iterator[str]:
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=options.prefix)
    for page in pages:
        for item in page["EndpointConfigs"]:
            if deployment.is_ours(item["EndpointConfigName"], options):
                yield item["EndpointConfigName"]


def _models(options: Options, sagemaker: Any) -> Iterator[str]:
    for page in sagemaker.get_paginator("list_models").paginate(NameContains=options.prefix):
        for item in page["Models"]:
            if deployment.is_ours(item["ModelName"], options):
                yield item["ModelName"]


def _delete(call: Any, **name: str) -> None:
    try:
        call(**name)
    except ClientError as error:
        if not deployment.not_found(error):
            raise


def handler(event: Json, context: Any) -> Json:
    """Takes nothing from the state."""
    with log.call("cleanUpDeployment", event, context) as call:
        deleted = clean_up(Options.of(os.environ), client("sagemaker"))
        call.say("cleaned up", **deleted)
        return deleted
