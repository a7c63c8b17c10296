"""The life of one environment, with everything that its roles do written down.

A version that fails and one that is trained, traffic, monitoring, versions that replace each other,
roll-backs, a batch, a stop, and events that nobody can handle: what happens in months, in minutes.
"""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localaws.permissions.record import Entry, read
from tests import deployment_kit as kit
from tests.deployment_kit import BUCKET, NAME, Json, Site
from tests.end_to_end.conftest import User
from tests.end_to_end.test_faults import stage
from tests.hosting_kit import poll

MACHINES = f"arn:aws:states:us-east-1:123456789012:stateMachine:{NAME}"


class Life:
    """An environment whose embedded AWS records decisions, and what happens in it."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "decisions.jsonl"
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
        self.client = self.site.client

    def entries(self) -> list[Entry]:
        return list(read(self.record))

    def live(self, archive: Path) -> None:
        """All of it, in about two minutes."""
        site = self.site
        assert site.deploy(site.register(kit.RAISES))["status"] != "SUCCEEDED"
        site.decide(1, "Rejected")  # else what is trained would be held against it
        self.train(archive)
        self.watch()
        assert site.deploy(site.register())["status"] == "SUCCEEDED"  # version 3
        assert site.deploy(site.register(kit.RAISES))["status"] != "SUCCEEDED"
        site.decide(3, "Rejected")
        site.settle(3, 2)
        self.batch()
        self.stop(archive)
        self.hour()
        self.bad_events()

    def train(self, archive: Path) -> None:
        url = stage(self.user, archive)
        arguments = ("--data-url", url, "-p", "Epochs=12")
        self.user.ok("pipeline", "start", "--wait", *arguments)
        self.user.ok("models", "approve", "2", "--wait")

    def watch(self) -> None:
        """Dark images, a run of the monitoring pipeline and of the schedule's job, labels."""
        self.user.run("replay", "-n", "12", "--balanced", "--disturb", "darker")
        found = self.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="review/")
        kept = [item["Key"] for item in found.get("Contents", [])]
        assert kept, "no answer was unsure"
        poll(self.captured, 60)
        self.user.ok("label", self.captured()[0]["inferenceId"], "bicycle")
        self.user.run("monitor", "run", "--now")
        sagemaker = self.client("sagemaker")
        own = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=NAME)
        now = {
            "ScheduleExpression": "NOW",
            "DataAnalysisStartTime": "-PT1H",
            "DataAnalysisEndTime": "-PT0H",
        }
        config = own["MonitoringScheduleConfig"] | {"ScheduleConfig": now}
        once = f"{NAME}-once"
        sagemaker.create_monitoring_schedule(
            MonitoringScheduleName=once, MonitoringScheduleConfig=config
        )

        def ended() -> bool:
            last = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=once)
            execution = last.get("LastMonitoringExecutionSummary") or {}
            status = execution.get("MonitoringExecutionStatus", "Pending")
            return status not in ("Pending", "InProgress", "Stopping")

        poll(ended, 60)
        sagemaker.delete_monitoring_schedule(MonitoringScheduleName=once)

    def captured(self) -> list[Json]:
        s3 = self.client("s3")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="capture/").get("Contents", [])
        bodies = [s3.get_object(Bucket=BUCKET, Key=o["Key"])["Body"].read() for o in listed]
        records = [json.loads(line) for body in bodies for line in body.splitlines()]
        found = [record["eventMetadata"] for record in records]
        return [event for event in found if "smoke" not in event.get("inferenceId", "smoke")]

    def batch(self) -> None:
        """The batch workflow, and a picture that is not there."""
        self.site.put("classify/batch/one.png", self.site.image)
        job = {"s3_bucket": BUCKET, "s3_prefix": "classify/batch/"}
        assert self.execute(f"{MACHINES}-batch", job)["status"] == "SUCCEEDED"
        self.execute(f"{MACHINES}-inference:live", {"s3_bucket": BUCKET, "s3_key": "no.png"})

    def execute(self, machine: str, given: Json) -> Json:
        """Starts an execution and returns its description when it has ended."""
        states = self.client("stepfunctions")
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(given))
        arn = started["executionArn"]

        def ended() -> Json | None:
            found: Json = states.describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        return dict(poll(ended, 90))

    def stop(self, archive: Path) -> None:
        """Stops two executions of the pipeline: one while it trains, one while it evaluates."""
        url = stage(self.user, archive)
        self.stop_at("Train", url, epochs=60)
        self.stop_at("Evaluate", url, epochs=2)

    def stop_at(self, step: str, url: str, epochs: int) -> None:
        self.user.ok("pipeline", "start", "--data-url", url, "-p", f"Epochs={epochs}")
        sagemaker = self.client("sagemaker")
        newest = sagemaker.list_pipeline_executions(PipelineName=f"{NAME}-training")
        arn = newest["PipelineExecutionSummaries"][0]["PipelineExecutionArn"]
        poll(lambda: self.runs(arn, step), 60)
        sagemaker.stop_pipeline_execution(
            PipelineExecutionArn=arn, ClientRequestToken=f"stop-{step}".ljust(32, "0")
        )

        def status() -> str:
            found = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            return str(found["PipelineExecutionStatus"])

        poll(lambda: status() == "Stopped", 60)

    def runs(self, execution: str, step: str) -> bool:
        steps = self.client("sagemaker").list_pipeline_execution_steps(
            PipelineExecutionArn=execution
        )["PipelineExecutionSteps"]
        found = {s["StepName"]: s for s in steps}
        return "Metadata" in found.get(step, {}) and found[step]["StepStatus"] == "Executing"

    def hour(self) -> None:
        """EventBridge Scheduler's hour, a moment from now."""
        scheduler, before = self.client("scheduler"), len(self.entries())
        own = scheduler.get_schedule(Name=f"{NAME}-monitoring")
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
        scheduler.update_schedule(
            Name=own["Name"],
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            State="ENABLED",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=own["Target"],
        )
        poll(lambda: self.asked("MonitoringHourRole", before), 30)

    def asked(self, role: str, since: int = 0) -> list[Entry]:
        """What a role asked after so many entries."""
        return [entry for entry in self.entries()[since:] if f"/{NAME}-{role}-" in entry.principal]

    def bad_events(self) -> None:
        """Each function that takes events gets one that it cannot handle."""
        functions = self.client("lambda")
        for name in ("modelPackageChanged", "startMonitoring", "publishMonitoring"):
            functions.invoke(
                FunctionName=f"{NAME}-{name}",
                InvocationType="Event",
                Payload=json.dumps({"source": "aws.sagemaker", "detail": {}}),
            )
        letters: list[Json] = []

        def all_there() -> bool:
            letters.extend(self.site.dead_letters())
            return len(letters) >= 3

        poll(all_there, 60)


def deny(life: Life, role: str, action: str) -> Callable[[], None]:
    """Deploys a role's own policy without an action; the result puts it back."""
    iam = life.client("iam")
    (name,) = [
        found["RoleName"]
        for page in iam.get_paginator("list_roles").paginate()
        for found in page["Roles"]
        if found["RoleName"].startswith(f"{NAME}-{role}-")
    ]
    (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document: Any = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]

    def put(statements: list[Json]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)

    def without(given: Any) -> list[str]:
        return [a for a in (given if isinstance(given, list) else [given]) if a != action]

    left = [{**s, "Action": without(s["Action"])} for s in document["Statement"]]
    kept = [statement for statement in left if statement["Action"]]
    assert kept != document["Statement"], f"{role} may not {action} anyway"
    put(kept or [{"Effect": "Deny", "Action": action, "Resource": "*"}])
    return lambda: put(document["Statement"])
