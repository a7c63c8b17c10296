"""The resource types of CodeBuild and CodePipeline."""

from typing import Any

from localaws.cloudformation.by_api import Clients, Handler, Made, Properties, call

_AS_THEY_ARE = frozenset({"Configuration"})  # its keys belong to the action's provider
_NAMES = {"BuildSpec": "buildspec"}


class Project:
    """`AWS::CodeBuild::Project`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        made = call("codebuild", "CreateProject", {**lowered(properties), "name": name})
        return name, {"Arn": made["project"]["arn"]}

    def update(self, identity: str, properties: Properties) -> Made:
        made = call("codebuild", "UpdateProject", {**lowered(properties), "name": identity})
        return identity, {"Arn": made["project"]["arn"]}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("codebuild").delete_project(name=identity)


class ReportGroup:
    """`AWS::CodeBuild::ReportGroup`. Ref gives the ARN."""

    def create(self, name: str, properties: Properties) -> Made:
        request = {**lowered(properties), "name": name}
        arn = call("codebuild", "CreateReportGroup", request)["reportGroup"]["arn"]
        return arn, {"Arn": arn}

    def update(self, identity: str, properties: Properties) -> Made:
        return identity, {"Arn": identity}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("codebuild").delete_report_group(arn=identity, deleteReports=True)


class Pipeline:
    """`AWS::CodePipeline::Pipeline`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        made = call("codepipeline", "CreatePipeline", {"pipeline": _pipeline(name, properties)})
        return name, {"Version": str(made["pipeline"]["version"])}

    def update(self, identity: str, properties: Properties) -> Made:
        request = {"pipeline": _pipeline(identity, properties)}
        made = call("codepipeline", "UpdatePipeline", request)
        return identity, {"Version": str(made["pipeline"]["version"])}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("codepipeline").delete_pipeline(name=identity)


def _pipeline(name: str, properties: Properties) -> Properties:
    made: Properties = lowered({k: v for k, v in properties.items() if k != "Tags"})
    return {**made, "name": name}


def lowered(value: Any) -> Any:
    """A template writes members with a capital, these APIs without."""
    if isinstance(value, dict):
        return {
            _NAMES.get(key, key[0].lower() + key[1:]): item
            if key in _AS_THEY_ARE
            else lowered(item)
            for key, item in value.items()
        }
    return [lowered(item) for item in value] if isinstance(value, list) else value


HANDLERS: dict[str, Handler] = {
    "AWS::CodeBuild::Project": Project(),
    "AWS::CodeBuild::ReportGroup": ReportGroup(),
    "AWS::CodePipeline::Pipeline": Pipeline(),
}
