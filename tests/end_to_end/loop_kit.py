"""One environment and all that happens to it: what takes months elsewhere, in minutes.

`go_round` is the loop: trained, approved, serving; other pictures than before; labels; the alarm;
one retraining by the stack's own rule, function and pipeline; its version approved and serving.
Each decision about a permission is written down meanwhile.
"""

import datetime
import json
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambdas.retraining import DECISIONS
from localaws.permissions.record import Entry, read
from tests import deployment_kit as kit
from tests.deployment_kit import BUCKET, NAME, Json, Site
from tests.end_to_end.conftest import ROOT, User
from tests.end_to_end.dusk_kit import archive, pictures, shown
from tests.end_to_end.test_faults import stage
from tests.hosting_kit import poll

RETRAINING, FUNCTION = f"{NAME}-retraining", f"{NAME}-requestRetraining"
LABELS_RULE, DRIFT = f"{NAME}-labels-written", f"{NAME}-drift"
PICTURES, LABELS, FLAPS = 44, 20, 20
SHORT = "-p Epochs=20 -p AccuracyThreshold=0.8"
WEAK = "-p Epochs=12 -p AccuracyThreshold=0.5"  # the first model is not meant to be good


@dataclass
class Round:
    """What there was to see on the way round."""

    before: list[Json]  # answers to pictures of dusk
    waiting: dict[str, str]  # for review, by inference: where its picture lies
    reviewed: str  # what the person saw who labelled
    known: str  # the inference that was labelled without a review
    drift: Json  # the monitoring's finding
    decisions: list[Json]  # about a retraining, newest first
    retraining: Json  # what a person is shown of the one that was started
    package: Json  # what it registered
    dataset: Json  # what it was trained on
    evaluation: Json
    after: list[Json]  # the retrained model's answers to other pictures of dusk


class Life:
    """An environment whose embedded AWS records decisions, and what happens in it."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "decisions.jsonl"
        self.folder = folder
        self.user = User(folder)
        self.user.environment |= {
            "LOCALAWS_DECISIONS": str(self.record),
            "LOCALAWS_CAPTURE_SECONDS": "1",
            "LOCALAWS_STARTUP_SECONDS": "12",
        }
        self.user.ok("local", "up")
        self.user.ok("deploy")
        self.user.ok("pipeline", "upsert")
        self.site = Site(self.user)
        self.client = self.user.client
        # Labels ask for a retraining by themselves; here the alarm is to.
        self.client("events").disable_rule(Name=LABELS_RULE)
        self.builds_with(SCONES_START_OPTIONS=SHORT)

    def entries(self) -> list[Entry]:
        return list(read(self.record))

    def go_round(self) -> Round:
        """The loop, after a first deployment that failed."""
        assert self.site.deploy(self.site.register(kit.RAISES))["status"] == "FAILED"
        self.site.decide(1, "Rejected")  # else what is trained would be held against it
        url = stage(self.user, archive(self.folder / "archive.tar.gz"))
        self.user.ok("pipeline", "start", "--wait", "--data-url", url, *WEAK.split())
        self.user.ok("models", "approve", "2", "--wait")
        before = self.classify("before", PICTURES, 300)
        waiting = self.waiting()
        reviewed = self.review(LABELS)
        known, vehicle = self.sure_of(before)
        self.user.ok("label", known, vehicle)
        self.user.ok("label", "no-such-inference", "bicycle")
        poll(lambda: len(self.captured()) >= PICTURES, 120)
        drift = self.user.run("monitor", "run", "--now", "--json").json
        poll(lambda: self.alarm() == "ALARM", 90)
        self.flap()
        poll(lambda: self.decided("drift") > FLAPS, 240)
        decisions = self.user.run("retraining", "list", "--json", "-n", "50").json
        run = next(row for row in decisions if row["decision"] == "started")
        self.await_retraining(run["execution_id"])
        retraining = self.user.run("retraining", "show", run["event_id"], "--json").json
        assert retraining["outcome"]["status"] == "Succeeded", retraining["outcome"]
        package, evaluation, dataset = self.package(), self.evaluation(), self.dataset()
        self.user.ok("models", "approve", "3", "--wait")
        after = self.classify("after", 12, 700)
        return Round(
            *(before, waiting, reviewed, known, drift, decisions, retraining),
            *(package, dataset, evaluation, after),
        )

    def classify(self, name: str, count: int, seed: int) -> list[Json]:
        """The workflow's answers to new pictures of dusk."""
        folder = pictures(self.folder / name, count, seed)
        found: list[Json] = self.user.run("classify", str(folder), "--json").json
        return found

    def waiting(self) -> dict[str, str]:
        """The keys of the images that wait for a person, by their inferences."""
        found = self.user.run("review", "--json").json
        return {record["inference_id"]: record["s3_key"] for record in found}

    def review(self, count: int) -> str:
        """A person labels what waits, by what each picture shows; what was on the screen."""
        process = subprocess.Popen(
            [sys.executable, "-m", "scones", "review", "-n", str(count)],
            cwd=ROOT,
            env=self.user.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "s3://" in line:
                process.stdin.write(shown(line) + "\n")
                process.stdin.flush()
        assert process.wait(60) == 0
        return "".join(seen)

    def sure_of(self, answers: list[Json]) -> tuple[str, str]:
        """An inference that nobody reviews, and what its picture shows."""
        answer = next(a for a in answers if a["verdict"] == "sure")
        ended = self.client("stepfunctions").describe_execution(
            executionArn=answer["execution_arn"]
        )
        return json.loads(ended["output"])["inference_id"], shown(answer["image"])

    def captured(self) -> list[Json]:
        """Of the workflow's requests, without those of the smoke test."""
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/").get("Contents", [])
        bodies = [s3.get_object(Bucket=BUCKET, Key=o["Key"])["Body"].read() for o in listed]
        records = [json.loads(line) for body in bodies for line in body.splitlines()]
        found = [record["eventMetadata"] for record in records]
        return [event for event in found if "smoke" not in event.get("inferenceId", "smoke")]

    def alarm(self) -> str:
        found = self.client("cloudwatch").describe_alarms(AlarmNames=[DRIFT])["MetricAlarms"]
        return str(found[0]["StateValue"])

    def flap(self) -> None:
        """The alarm goes and comes, again and again."""
        for _ in range(FLAPS):
            for state in ("OK", "ALARM"):
                self.client("cloudwatch").set_alarm_state(
                    AlarmName=DRIFT, StateValue=state, StateReason="a drill"
                )

    def decided(self, trigger: str) -> int:
        """How many of a trigger. By one listing a look: the functions want the processor."""
        listed = self.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=DECISIONS)
        return sum(f"-{trigger}-" in item["Key"] for item in listed.get("Contents", []))

    # Retraining

    def builds_with(self, **variables: str) -> None:
        """The retraining build's own settings, over those of the stack."""
        codebuild = self.client("codebuild")
        (project,) = codebuild.batch_get_projects(names=[RETRAINING])["projects"]
        environment = project["environment"]
        stack = {"SCONES_ENV": "local", "SCONES_STEPS": "train"}
        environment["environmentVariables"] = [
            {"name": name, "value": value} for name, value in (stack | variables).items()
        ]
        codebuild.update_project(name=RETRAINING, environment=environment)

    def ask(self, **more: Any) -> Json:
        """Asks the function for a retraining, as a person does; its decision."""
        now = datetime.datetime.now(datetime.UTC).isoformat()
        event = {"trigger": "manual", "id": str(uuid.uuid4()), "time": now, **more}
        answer = self.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event))
        found: Json = json.load(answer["Payload"])
        assert "FunctionError" not in answer, found
        return found

    def retrain(self) -> Json:
        """One retraining to its end; what a person is shown of it."""
        asked = self.ask(force=True)
        assert asked["decision"] == "started", asked["reason"]
        self.await_retraining(asked["execution_id"])
        shown: Json = self.user.run("retraining", "show", asked["event_id"], "--json").json
        return shown

    def await_retraining(self, execution: str, seconds: float = 300) -> None:
        codepipeline = self.client("codepipeline")

        def ended() -> bool:
            found = codepipeline.get_pipeline_execution(
                pipelineName=RETRAINING, pipelineExecutionId=execution
            )["pipelineExecution"]
            return str(found["status"]) not in ("InProgress", "Stopping")

        poll(ended, seconds)

    def role(self, name: str) -> str:
        """The full name of a role of the stack."""
        pages = self.client("iam").get_paginator("list_roles").paginate()
        names = [role["RoleName"] for page in pages for role in page["Roles"]]
        (found,) = [full for full in names if full.startswith(f"{NAME}-{name}-")]
        return str(found)

    def stop_build(self) -> None:
        """As somebody who presses the button in the console, once it trains."""
        poll(lambda: self.runs("Train"), 120)
        codebuild = self.client("codebuild")
        newest = codebuild.list_builds_for_project(projectName=RETRAINING)["ids"][0]
        codebuild.stop_build(id=newest)

    # What is there

    def runs(self, step: str) -> bool:
        """Whether the newest execution of the training pipeline is at this step's job."""
        sagemaker = self.client("sagemaker")
        newest = sagemaker.list_pipeline_executions(PipelineName=f"{NAME}-training")
        steps = sagemaker.list_pipeline_execution_steps(
            PipelineExecutionArn=newest["PipelineExecutionSummaries"][0]["PipelineExecutionArn"]
        )["PipelineExecutionSteps"]
        found = {s["StepName"]: s for s in steps}
        return "Metadata" in found.get(step, {}) and found[step]["StepStatus"] == "Executing"

    def versions(self) -> list[str]:
        """The ARNs, oldest first."""
        found = self.client("sagemaker").list_model_packages(ModelPackageGroupName=NAME)
        arns = [item["ModelPackageArn"] for item in found["ModelPackageSummaryList"]]
        return sorted(arns, key=lambda arn: int(arn.rpartition("/")[2]))

    def state(self) -> Json:
        """What serves, what it answers, and all that a fault could leave half done."""
        sagemaker = self.client("sagemaker")
        endpoint = self.site.endpoint() or {}
        executions = sagemaker.list_pipeline_executions(PipelineName=f"{NAME}-training")
        return {
            "endpoint": (endpoint.get("EndpointStatus"), endpoint.get("EndpointConfigName")),
            "answer": self.site.ask(),
            "package": self.site.workflow_package(),
            "models, configurations": self.site.leftovers(),
            "versions": self.versions(),
            "executing": [
                row["PipelineExecutionArn"]
                for row in executions["PipelineExecutionSummaries"]
                if row["PipelineExecutionStatus"] in ("Executing", "Stopping")
            ],
            "training": sagemaker.list_training_jobs(StatusEquals="InProgress")[
                "TrainingJobSummaries"
            ],
            "processing": sagemaker.list_processing_jobs(StatusEquals="InProgress")[
                "ProcessingJobSummaries"
            ],
        }

    def package(self) -> Json:
        """The newest version."""
        newest = self.versions()[-1]
        found: Json = self.client("sagemaker").describe_model_package(ModelPackageName=newest)
        return found

    def evaluation(self) -> Json:
        """Of the newest version."""
        return self.read(self.package()["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])

    def dataset(self) -> Json:
        """`dataset.json` of the newest training's Prepare."""
        pages = self.client("s3").get_paginator("list_objects_v2")
        found = [
            item
            for page in pages.paginate(Bucket=BUCKET, Prefix="executions/")
            for item in page.get("Contents", [])
            if item["Key"].endswith("/dataset/dataset.json")
        ]
        newest = max(found, key=lambda item: item["LastModified"])
        return self.read(f"s3://{BUCKET}/{newest['Key']}")

    def read(self, url: str) -> Json:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        found: Json = json.load(self.client("s3").get_object(Bucket=bucket, Key=key)["Body"])
        return found
