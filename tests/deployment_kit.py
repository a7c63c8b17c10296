"""What the tests of deployments share: versions made by hand, decisions, and a look from outside.

A version is a small archive that answers the same probabilities to every picture, registered
straight into the group with what a deployment wants to know; nothing is trained. Version N answers
`answer_of(N)`, so what the endpoint says tells which version it serves.
"""

import io
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from PIL import Image

from tests.end_to_end.conftest import User
from tests.hosting_kit import IMAGE, archive, poll

NAME = "scones-local"
BUCKET = f"{NAME}-123456789012-us-east-1"
Json = dict[str, Any]
CLASSES = ("bicycle", "motorcycle")

GOOD = """
    import json

    def model_fn(model_dir):
        return None

    def input_fn(body, content_type):
        return body

    def predict_fn(body, model):
        return ANSWER

    def output_fn(prediction, accept):
        return json.dumps(prediction)
"""
RAISES = GOOD.replace("return ANSWER", 'raise RuntimeError("out of ideas")')
DOES_NOT_LOAD = GOOD.replace("return None", 'raise RuntimeError("no weights")')
SLOW = GOOD.replace("return None", "import time; time.sleep(2)")
TOO_SLOW = GOOD.replace("return None", "import time; time.sleep(600)")


def answer_of(version: int) -> list[float]:
    return [0.95 - version / 1000, 0.05 + version / 1000]


def answering(answer: str) -> str:
    """A handler that answers this, whatever is asked."""
    return GOOD.replace("return ANSWER", f"return {answer}")


def start(folder: Path) -> "Site":
    """A stack without an endpoint. A container must have answered a ping after twelve seconds."""
    user = User(folder)
    user.environment["LOCALAWS_STARTUP_SECONDS"] = "12"
    user.ok("local", "up")
    user.ok("deploy")
    return Site(user)


class Site:
    """An environment with its stack, and all that the tests do to it and read from it."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = user.client
        self.machine, self.inference = "", ""
        for machine in self.client("stepfunctions").list_state_machines()["stateMachines"]:
            if machine["name"] == f"{NAME}-deployment":
                self.machine = machine["stateMachineArn"]
            if machine["name"] == f"{NAME}-inference":
                self.inference = machine["stateMachineArn"]
        self._put_images()

    # What is done

    def _put_images(self) -> None:
        packed = io.BytesIO()
        Image.new("RGB", (32, 32), (90, 120, 30)).save(packed, "PNG")
        for name in CLASSES:
            self.put(f"executions/by-hand/test/{name}.png", packed.getvalue())
        self.image = packed.getvalue()

    def put(self, key: str, body: bytes) -> str:
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
        return f"s3://{BUCKET}/{key}"

    def register(
        self,
        handler: str = GOOD,
        *,
        group: str = NAME,
        packed: bytes | None = None,
        container: Json | None = None,
        **metadata: str,
    ) -> int:
        """A new version, as the pipeline would register it; its number."""
        version = self._next_version(group)
        root, answer = f"executions/{group}-{version}", answer_of(version)
        rows = [f"{n}.png,{i},{answer[0]},{answer[1]}" for i, n in enumerate(CLASSES)]
        table = "\n".join(["path,label,p_bicycle,p_motorcycle", *rows]) + "\n"
        self.put(f"{root}/evaluation/predictions.csv", table.encode())
        evaluation = self.put(f"{root}/evaluation/evaluation.json", b"{}")
        script = handler.replace("ANSWER", repr(answer))
        body = archive(script) if packed is None else packed
        data = self.put(f"{root}/model/model.tar.gz", body)
        statistics = {"ContentType": "application/json", "S3Uri": evaluation}
        made = self.client("sagemaker").create_model_package(
            ModelPackageGroupName=group,
            InferenceSpecification={
                "Containers": [container or {"Image": IMAGE, "ModelDataUrl": data}],
                "SupportedContentTypes": ["image/png"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelMetrics={"ModelQuality": {"Statistics": statistics}},
            DriftCheckBaselines={
                "ModelDataQuality": {"Statistics": statistics, "Constraints": statistics}
            },
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={
                "confidence_threshold": "0.8",
                "test_images_url": f"s3://{BUCKET}/executions/by-hand/test",
                **metadata,
            },
        )
        number = int(made["ModelPackageArn"].rpartition("/")[2])
        assert number == version
        return number

    def _next_version(self, group: str) -> int:
        found = self.client("sagemaker").list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
        )["ModelPackageSummaryList"]
        return int(found[0]["ModelPackageVersion"]) + 1 if found else 1

    def arn(self, version: int, group: str = NAME) -> str:
        return f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{group}/{version}"

    def decide(self, version: int, status: str = "Approved", group: str = NAME) -> None:
        self.client("sagemaker").update_model_package(
            ModelPackageArn=self.arn(version, group), ModelApprovalStatus=status
        )

    def event(self, version: int, group: str = NAME, status: str = "Approved") -> Json:
        """The registry's event, as EventBridge delivers it."""
        return {
            "id": "0f9c1d2e-aaaa-bbbb-cccc-111122223333",
            "detail-type": "SageMaker Model Package State Change",
            "source": "aws.sagemaker",
            "detail": {
                "ModelPackageGroupName": group,
                "ModelPackageArn": self.arn(version, group),
                "ModelApprovalStatus": status,
                "UpdatedModelPackageFields": ["ModelApprovalStatus"],
            },
        }

    def deliver(self, event: Json) -> Json:
        """Calls the function as EventBridge does, and returns what it answers."""
        answer = self.user.client("lambda").invoke(
            FunctionName=f"{NAME}-modelPackageChanged", Payload=json.dumps(event)
        )
        assert "FunctionError" not in answer
        found: Json = json.loads(answer["Payload"].read())
        return found

    # What came of it

    def executions(self, version: int | None = None) -> list[Json]:
        """The deployments, oldest first; of one version's decisions when it is given."""
        pages = self.client("stepfunctions").get_paginator("list_executions")
        rows = [r for p in pages.paginate(stateMachineArn=self.machine) for r in p["executions"]]
        wanted = r"v\d+-.*" if version is None else rf"v{version}-.*"
        found = [row for row in rows if re.fullmatch(wanted, row["name"])]
        return sorted(found, key=lambda row: row["startDate"])

    def settle(self, version: int, count: int = 1, seconds: float = 180) -> Json:
        """Waits for so many deployments of a version to end; the last as a user is shown it."""

        def ended() -> list[Json]:
            found = self.executions(version)
            done = len(found) >= count and all(row["status"] != "RUNNING" for row in found)
            return found if done else []

        last = poll(ended, seconds)[-1]
        return self.shown(last["name"])

    def shown(self, name: str) -> Json:
        found: Json = self.user.run("deployments", "show", name, "--json").json
        return found

    def deploy(self, version: int) -> Json:
        """Approves a version and waits for what comes of it."""
        count = len(self.executions(version))
        self.decide(version)
        return self.settle(version, count + 1)

    def await_status(self, status: str, seconds: float = 120) -> None:
        """Waits until the endpoint has this status."""
        poll(lambda: (self.endpoint() or {}).get("EndpointStatus") == status, seconds)

    def set_bake(self, seconds: int) -> None:
        """How long the canary is watched, as a change of the function's settings."""
        functions, name = self.client("lambda"), f"{NAME}-planDeployment"
        variables = functions.get_function_configuration(FunctionName=name)["Environment"]
        variables["Variables"]["BAKE_SECONDS"] = str(seconds)
        functions.update_function_configuration(FunctionName=name, Environment=variables)

    def kill_and_restart(self) -> None:
        """`kill -9`, and up again at the same address."""
        pid = json.loads((self.user.home / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        self.user.ok("local", "up")

    def endpoint(self) -> Json | None:
        try:
            found: Json = self.client("sagemaker").describe_endpoint(EndpointName=NAME)
        except ClientError as error:
            if "Could not find endpoint" not in str(error):
                raise
            return None
        return found

    def ask(self) -> list[float]:
        """What the endpoint answers to a picture."""
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=NAME, ContentType="image/png", Body=self.image
        )
        values: list[float] = json.loads(answer["Body"].read())
        return values

    def key_arn(self) -> str:
        """Of the stack's key."""
        found = self.client("kms").describe_key(KeyId=f"alias/{NAME}")["KeyMetadata"]
        return str(found["Arn"])

    def leftovers(self) -> tuple[list[str], list[str]]:
        """The models and the endpoint configurations that are there."""
        sagemaker = self.client("sagemaker")
        models = [item["ModelName"] for item in sagemaker.list_models()["Models"]]
        configs = sagemaker.list_endpoint_configs()["EndpointConfigs"]
        return models, [item["EndpointConfigName"] for item in configs]

    def workflow_package(self) -> str | None:
        """The package in the workflow that callers start; None while there is none."""
        states = self.client("stepfunctions")
        aliases = states.list_state_machine_aliases(stateMachineArn=self.inference)
        if not aliases["stateMachineAliases"]:
            return None
        alias = states.describe_state_machine_alias(stateMachineAliasArn=f"{self.inference}:live")
        version = alias["routingConfiguration"][0]["stateMachineVersionArn"]
        definition = states.describe_state_machine(stateMachineArn=version)["definition"]
        (found,) = set(re.findall(r"arn:[^\"]*:model-package/[^\"]*", definition))
        return str(found)

    def assert_serves(self, version: int) -> None:
        """The endpoint answers as this version, the workflow names it, and nothing else is left."""
        endpoint = self.endpoint()
        assert endpoint is not None
        assert endpoint["EndpointStatus"] == "InService"
        assert self.ask() == answer_of(version)
        assert self.workflow_package() == self.arn(version)
        models, configs = self.leftovers()
        assert models == [f"{NAME}-v{version}"]
        assert configs == [endpoint["EndpointConfigName"]]
        assert configs[0].startswith(f"{NAME}-v{version}-")

    def assert_nothing_serves(self) -> None:
        """No endpoint, no schedule, no model, no configuration, and no workflow to call it."""
        assert self.endpoint() is None
        assert self.leftovers() == ([], [])
        schedules = self.client("sagemaker").list_monitoring_schedules()
        assert schedules["MonitoringScheduleSummaries"] == []
        assert self.workflow_package() is None

    def dead_letters(self) -> list[Json]:
        """Takes what lies in the dead-letter queue."""
        sqs = self.client("sqs")
        url = sqs.get_queue_url(QueueName=f"{NAME}-dead-letters")["QueueUrl"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]
