"""What a function is configured with: defaults, what is refused by name, and what callers see."""

import datetime
import uuid
from typing import Any

from localaws.errors import NotImplementedHere, ValidationError
from localaws.functions.errors import InvalidValue

Settings = dict[str, Any]

_REFUSED = frozenset(
    {
        "FileSystemConfigs",
        "ImageConfig",
        "CodeSigningConfigArn",
        "CapacityProviderConfig",
        "PublishTo",
        "DurableConfig",
        "TenancyConfig",
    }
)
_KEPT = [
    "Runtime",
    "Role",
    "Handler",
    "Description",
    "Timeout",
    "MemorySize",
    "DeadLetterConfig",
    "Environment",
    "KMSKeyArn",
    "TracingConfig",
    "Architectures",
    "EphemeralStorage",
    "LoggingConfig",
    "VpcConfig",  # kept and shown; there is no network here but this machine's
]
_DEFAULTS: Settings = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "TracingConfig": {"Mode": "PassThrough"},
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "PackageType": "Zip",
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    "State": "Active",
    "LastUpdateStatus": "Successful",
    "Version": "$LATEST",
}
_ENVIRONMENT_LIMIT = 4096  # bytes of names and values
_LONGEST_TIMEOUT = 900  # seconds; the service model does not say it
_RESERVED = frozenset(
    [
        "_HANDLER",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_EXECUTION_ENV",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    ]
)


def new(name: str, arn: str, request: dict[str, Any]) -> Settings:
    """The settings of a new function. Raises NotImplementedHere or InvalidValue."""
    if request.get("PackageType", "Zip") != "Zip":
        raise NotImplementedHere("localaws does not implement functions from container images.")
    for member in ("Runtime", "Handler"):
        if member not in request:
            raise InvalidValue(f"{member} is mandatory for functions created with Zip archives.")
    made = {"FunctionName": name, "FunctionArn": arn, **_DEFAULTS}
    made["LoggingConfig"] = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    return changed(made, request)


def changed(settings: Settings, request: dict[str, Any]) -> Settings:
    """The settings with what a request changes."""
    _check(request)
    made = {**settings, **{member: request[member] for member in _KEPT if member in request}}
    made["LoggingConfig"] = {
        **settings.get("LoggingConfig", {}),
        **request.get("LoggingConfig", {}),
    }
    if not made.get("DeadLetterConfig", {}).get("TargetArn"):
        made.pop("DeadLetterConfig", None)
    if not made.get("VpcConfig", {}).get("SubnetIds"):
        made.pop("VpcConfig", None)
    if not made.get("KMSKeyArn"):
        made.pop("KMSKeyArn", None)
    return made


def stamp(settings: Settings, now: datetime.datetime) -> Settings:
    """A new revision of the settings."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}+0000"
    return {**settings, "LastModified": moment, "RevisionId": str(uuid.uuid4())}


def shown(settings: Settings) -> Settings:
    """What callers see of it: without our own members."""
    return {name: value for name, value in settings.items() if not name.startswith("_")}


def _check(request: dict[str, Any]) -> None:
    refused = {name for name in _REFUSED if request.get(name)}
    if (request.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        refused.add("SnapStart")
    if refused:
        names = ", ".join(sorted(refused))
        raise NotImplementedHere(f"localaws does not implement {names} of a function.")
    runtime = request.get("Runtime")
    if runtime and not runtime.startswith("python3."):
        raise NotImplementedHere(f"localaws does not implement the runtime {runtime}.")
    timeout = request.get("Timeout", 0)
    if timeout > _LONGEST_TIMEOUT:
        raise ValidationError(
            f"1 validation error detected: Value '{timeout}' at 'timeout' failed to satisfy"
            f" constraint: Member must have value less than or equal to {_LONGEST_TIMEOUT}"
        )
    variables = (request.get("Environment") or {}).get("Variables") or {}
    reserved = sorted(variables.keys() & _RESERVED)
    if reserved:
        raise InvalidValue(
            "Lambda was unable to configure your environment variables because the environment"
            " variables you have provided contains reserved keys that are currently not supported"
            f" for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    if sum(len(k.encode()) + len(v.encode()) for k, v in variables.items()) > _ENVIRONMENT_LIMIT:
        raise InvalidValue(
            "Lambda was unable to configure your environment variables because the environment"
            f" variables you have provided exceeded the {_ENVIRONMENT_LIMIT // 1024}KB limit."
        )
