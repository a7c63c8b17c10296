"""What an action does, with the credentials of the pipeline's role.

Each takes an `Ask` and returns a `Done`; `Failure` says why it did not. `wait` sleeps and raises
when the execution is stopped or the server ends.
"""

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import ClientError

from localaws.context import Context
from localaws.errors import ApiError
from localaws.releases.definitions import PRINCIPAL, Assume

Json = dict[str, Any]
_POLL_SECONDS = 0.2


class Failure(Exception):
    """The action failed: the service's code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Ask:
    """One action of one execution, its configuration resolved; `state` is its kept record."""

    pipeline: Json
    action: Json
    configuration: dict[str, str]
    state: Json
    artifacts: dict[str, Json]  # by name: bucket and key
    revision: str
    wait: Callable[[float], None]
    note: Callable[[Json], None]  # keeps members of the action's record


@dataclass(frozen=True)
class Done:
    """What an action leaves for those after it."""

    summary: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, Json] = field(default_factory=dict)
    revision: Json | None = None


class Actions:
    """The actions by the names that `definitions.PROVIDERS` gives them."""

    def __init__(self, context: Context, assume: Assume) -> None:
        self._context, self._assume = context, assume

    def source(self, ask: Ask) -> Done:
        """The newest version of an object, copied to the artifact store."""
        bucket, key = ask.configuration["S3Bucket"], ask.configuration["S3ObjectKey"]
        s3 = self._client("s3", ask)
        try:
            if s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
                message = f"The bucket {bucket} has no versioning, which a source needs."
                raise Failure("ConfigurationError", message)
            found = s3.get_object(Bucket=bucket, Key=key)
            place = self._place(ask)
            self._put(s3, ask, place, found["Body"].read())
        except ClientError as error:
            raise Failure(*_said(error)) from None
        version = found["VersionId"]
        summary = found["Metadata"].get("codepipeline-artifact-revision-summary", "")
        (output,) = ask.action["outputArtifacts"]
        return Done(
            summary=summary,
            variables={
                "BucketName": bucket,
                "ETag": found["ETag"].strip('"'),
                "ObjectKey": key,
                "VersionId": version,
            },
            artifacts={output["name"]: place},
            revision={"revisionId": version, "revisionSummary": summary},
        )

    def build(self, ask: Ask) -> Done:
        """A build of a project, waited for."""
        codebuild = self._client("codebuild", ask)
        try:
            identity = ask.state.get("externalExecutionId") or self._start(codebuild, ask)
            while True:
                (build,) = codebuild.batch_get_builds(ids=[identity])["builds"]
                if build["buildComplete"]:
                    break
                ask.wait(_POLL_SECONDS)
        except ClientError as error:
            raise Failure(*_said(error)) from None
        if build["buildStatus"] != "SUCCEEDED":
            raise Failure("JobFailed", _why(build))
        exported = build.get("exportedEnvironmentVariables", [])
        outputs = [artifact["name"] for artifact in ask.action.get("outputArtifacts", [])]
        return Done(
            variables={item["name"]: item["value"] for item in exported},
            artifacts={name: dict(ask.state["output"]) for name in outputs},
        )

    def _start(self, codebuild: Any, ask: Ask) -> str:
        (source,) = [ask.artifacts[a["name"]] for a in ask.action["inputArtifacts"]]
        told = {
            "CODEBUILD_INITIATOR": f"codepipeline/{ask.pipeline['name']}",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": ask.revision,
        }
        variables = json.loads(ask.configuration.get("EnvironmentVariables", "[]"))
        artifacts: Json = {"type": "NO_ARTIFACTS"}
        if ask.action.get("outputArtifacts"):
            place = self._place(ask)
            ask.note({"output": place})
            path, _, name = place["key"].rpartition("/")
            artifacts = {"type": "S3", "packaging": "ZIP", "location": place["bucket"]}
            artifacts |= {"path": path, "name": name}
        build = codebuild.start_build(
            projectName=ask.configuration["ProjectName"],
            sourceTypeOverride="S3",
            sourceLocationOverride=f"{source['bucket']}/{source['key']}",
            artifactsOverride=artifacts,
            environmentVariablesOverride=[
                *variables,
                *({"name": name, "value": value} for name, value in told.items()),
            ],
            idempotencyToken=ask.state["actionExecutionId"],
        )["build"]
        ask.note({"externalExecutionId": build["id"]})
        return str(build["id"])

    def approval(self, ask: Ask) -> Done:
        """Waits for a person's answer, which `PutApprovalResult` writes into the state."""
        if "told" not in ask.state:
            self._tell(ask)
            ask.note({"told": True})
        left = 60.0 * ask.action.get("timeoutInMinutes", 7 * 24 * 60)
        while "result" not in ask.state:
            ask.wait(_POLL_SECONDS)
            left -= _POLL_SECONDS
            if left <= 0:
                raise Failure("ApprovalTimeout", "The approval timed out.")
        result = ask.state["result"]
        if result["status"] == "Rejected":
            raise Failure("ApprovalRejected", f"Rejected: {result['summary']}")
        return Done(summary=result["summary"])

    def _tell(self, ask: Ask) -> None:
        topic = ask.configuration.get("NotificationArn")
        if not topic:
            return
        body = {
            "region": self._context.region,
            "approval": {
                "pipelineName": ask.pipeline["name"],
                "stageName": ask.state["stageName"],
                "actionName": ask.action["name"],
                "token": ask.state["token"],
                "customData": ask.configuration.get("CustomData", ""),
            },
        }
        subject = f"APPROVAL NEEDED: AWS CodePipeline {ask.pipeline['name']}"
        try:
            self._client("sns", ask).publish(
                TopicArn=topic, Subject=subject[:100], Message=json.dumps(body)
            )
        except ClientError as error:
            raise Failure(*_said(error)) from None

    def _place(self, ask: Ask) -> Json:
        """Where an action's output goes in the artifact store."""
        (output,) = ask.action["outputArtifacts"]
        letters = "".join(random.choices(string.ascii_letters + string.digits, k=7))
        name = ask.pipeline["name"][:20].rstrip("-")
        key = f"{name}/{output['name'][:10]}/{letters}"
        return {"bucket": ask.pipeline["artifactStore"]["location"], "key": key}

    def _put(self, s3: Any, ask: Ask, place: Json, body: bytes) -> None:
        key = ask.pipeline["artifactStore"].get("encryptionKey", {}).get("id")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        s3.put_object(Bucket=place["bucket"], Key=place["key"], Body=body, **encryption)

    def _client(self, service: str, ask: Ask) -> Any:
        role = ask.pipeline["roleArn"]
        try:
            credentials = self._assume(role, "AWSCodePipeline", PRINCIPAL)
        except ApiError:
            message = f"CodePipeline is not authorized to perform AssumeRole on role {role}"
            raise Failure("PermissionError", message) from None
        session = boto3.session.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
            region_name=self._context.region,
        )
        return session.client(service, endpoint_url=self._context.endpoint_url)


def _said(error: ClientError) -> tuple[str, str]:
    code = error.response["Error"]["Code"]
    return ("PermissionError" if "AccessDenied" in code else "JobFailed"), str(error)


def _why(build: Json) -> str:
    """As CodePipeline words it."""
    state = f"Build terminated with state: {build['buildStatus']}."
    for phase in build.get("phases", []):
        if phase.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED":
            context = (phase.get("contexts") or [{}])[0]
            return (
                f"{state} Phase: {phase['phaseType']}, Code: {context.get('statusCode', '')},"
                f" Message: {context.get('message', '')}"
            )
    return state
