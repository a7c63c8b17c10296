"""Executions of monitoring schedules: begun, settled by their processing job, listed.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_MonitoringExecutionSummary.html
"""

import datetime
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

from localaws.context import Context
from localaws.errors import ApiError
from localaws.monitoring import job_request, metrics
from localaws.monitoring.job_request import CannotRun, Execution
from localaws.sagemaker.listing import as_time, page

log = logging.getLogger(__name__)

Json = dict[str, Any]
CreateJob = Callable[[Json], Json]
PutMetrics = Callable[[str, list[Json]], None]

KIND, _JOB = "monitoring-execution", "processing-job"
PENDING, RUNNING, FAILED = "Pending", "InProgress", "Failed"
_LIVE = (PENDING, RUNNING, "Stopping")
_VIOLATIONS = "CompletedWithViolations"
_SHOWN = (
    "MonitoringScheduleName",
    "ScheduledTime",
    "CreationTime",
    "LastModifiedTime",
    "MonitoringExecutionStatus",
    "ProcessingJobArn",
    "EndpointName",
    "FailureReason",
    "MonitoringJobDefinitionName",
    "MonitoringType",
)
_STOPPED = "InternalServerError: localaws was stopped before this execution had a job."


class Executions:
    """Keeps them. `create_job` is CreateProcessingJob, `put` is PutMetricData."""

    def __init__(self, context: Context, create_job: CreateJob, put: PutMetrics) -> None:
        self._context, self._store = context, context.store
        self._create_job, self._put = create_job, put
        self._lock = threading.Lock()

    def begin(self, schedule: Json, scheduled: datetime.datetime) -> Execution:
        """Notes an execution as Pending; `launch` starts its job."""
        # [?] The prefix of data quality jobs; those of model quality are confirmed.
        name = f"model-monitoring-{scheduled:%Y%m%d%H%M}-{uuid.uuid4().hex[:24]}"
        now = self._context.now()
        config = schedule["MonitoringScheduleConfig"]
        record = {
            "MonitoringScheduleName": schedule["MonitoringScheduleName"],
            "ScheduledTime": scheduled,
            "CreationTime": now,
            "LastModifiedTime": now,
            "MonitoringExecutionStatus": PENDING,
            "EndpointName": schedule.get("EndpointName"),
            "MonitoringJobDefinitionName": config.get("MonitoringJobDefinitionName"),
            "MonitoringType": schedule["MonitoringType"],
            "JobName": name,
        }
        self._store.put(KIND, name, record)
        return Execution(schedule, scheduled, name)

    def launch(self, execution: Execution, define: Callable[[Json], Json]) -> None:
        """Starts the processing job, or says why there is none.

        `define` gives what a MonitoringScheduleConfig runs.
        """
        try:
            definition = define(execution.schedule["MonitoringScheduleConfig"])
            request = job_request.build(self._context, execution, definition)
            arn = self._create_job(request)["ProcessingJobArn"]
        except CannotRun as problem:
            self._change(execution.job_name, FAILED, FailureReason=str(problem))
        except ApiError as problem:  # no definition; a role, an image or a path that jobs refuse
            self._change(execution.job_name, FAILED, FailureReason=problem.message[:1024])
        else:
            self._change(execution.job_name, RUNNING, ProcessingJobArn=arn)

    def settle(self) -> None:
        """Gives each execution the status of its job, and publishes the metrics of those that
        have ended."""
        with self._lock:
            for record in self._live():
                job = self._store.get(_JOB, record["JobName"])
                if job and record["MonitoringExecutionStatus"] != PENDING:
                    self._follow(record, job)

    def recover(self) -> None:
        """After a start: what was pending then has failed; the rest follows its job."""
        for record in self._live():
            if record["MonitoringExecutionStatus"] == PENDING:
                job = self._store.get(_JOB, record["JobName"])
                if job:  # killed between the job and the note of it
                    self._change(
                        record["JobName"], RUNNING, ProcessingJobArn=job["ProcessingJobArn"]
                    )
                else:
                    self._change(record["JobName"], FAILED, FailureReason=_STOPPED)
        self.settle()

    def last(self, schedule: str) -> Json | None:
        """The summary of a schedule's latest execution."""
        self.settle()
        found = [r for r in self._store.all(KIND) if r["MonitoringScheduleName"] == schedule]
        return _summary(found[-1]) if found else None

    def summaries(self, request: Json) -> Json:
        """What ListMonitoringExecutions answers. A deleted schedule's executions stay."""
        self.settle()
        records = [record for record in self._store.all(KIND) if _matches(record, request)]
        by = request.get("SortBy")
        for record in records:
            record["Label"] = record["CreationTime"].isoformat()
            if by == "Status":
                record["Label"] = f"{record['MonitoringExecutionStatus']}/{record['Label']}"
            elif by == "ScheduledTime":
                record["Label"] = f"{record['ScheduledTime'].isoformat()}/{record['Label']}"
        found, more = page(records, request, name="Label", default_size=10)
        return {"MonitoringExecutionSummaries": [_summary(record) for record in found], **more}

    def _live(self) -> list[Json]:
        records = self._store.all(KIND)
        return [record for record in records if record["MonitoringExecutionStatus"] in _LIVE]

    def _follow(self, record: Json, job: Json) -> None:
        status = job["ProcessingJobStatus"]
        if status == "Completed" and job.get("ExitMessage", "").startswith(_VIOLATIONS):
            status = _VIOLATIONS
        if status == record["MonitoringExecutionStatus"]:
            return
        if status not in _LIVE:
            self._publish(job)
        reason = {"FailureReason": job["FailureReason"]} if job.get("FailureReason") else {}
        self._change(record["JobName"], status, **reason)

    def _publish(self, job: Json) -> None:
        found = metrics.data(job.get("_metric_lines") or [], self._context.now())
        if found and job["ProcessingJobStatus"] == "Completed" and self._may_publish(job):
            self._put(metrics.NAMESPACE, found)

    def _may_publish(self, job: Json) -> bool:
        """The job's role publishes; as on AWS, nothing fails when it may not."""
        request = {"Namespace": metrics.NAMESPACE}
        try:
            self._context.require(job["RoleArn"], "monitoring", "PutMetricData", request)
        except ApiError as denied:
            log.warning("%s publishes no metrics: %s", job["ProcessingJobName"], denied.message)
            return False
        return True

    def _change(self, name: str, status: str, **members: Any) -> None:
        now = self._context.now()
        self._store.update(
            KIND, name, MonitoringExecutionStatus=status, LastModifiedTime=now, **members
        )


def _matches(record: Json, request: Json) -> bool:
    wanted = {
        "MonitoringScheduleName": "MonitoringScheduleName",
        "EndpointName": "EndpointName",
        "StatusEquals": "MonitoringExecutionStatus",
        "MonitoringJobDefinitionName": "MonitoringJobDefinitionName",
        "MonitoringTypeEquals": "MonitoringType",
    }
    if any(request.get(name) not in (None, record[member]) for name, member in wanted.items()):
        return False
    for member in ("ScheduledTime", "LastModifiedTime"):
        after, before = request.get(f"{member}After"), request.get(f"{member}Before")
        if after is not None and record[member] < as_time(after):
            return False
        if before is not None and record[member] > as_time(before):
            return False
    return True


def _summary(record: Json) -> Json:
    return {member: record[member] for member in _SHOWN if record.get(member) is not None}
