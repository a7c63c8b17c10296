"""Tuning jobs: CreateHyperParameterTuningJob and its siblings; the work is in `localaws.tuning`.

A tuning job's record is its request with what Describe adds. Which trials it has is kept apart, a
record each, and everything else about a trial is its training job's own description: counters, the
best job and the summaries are worked out when they are asked for.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html.
"""

import secrets
from typing import Any

import service_model
from localaws.announcements import Announce, as_milliseconds, nobody
from localaws.context import Context
from localaws.errors import InUse, NotFound, ValidationError
from localaws.jobs.job import SERVER_STOPPED
from localaws.listing import paged
from localaws.sagemaker.listing import page
from localaws.sagemaker.tags import Tags
from localaws.sagemaker.training import TrainingJobs
from localaws.tuning.objective import Objective, since_best
from localaws.tuning.request import plan_of, trial_of
from localaws.tuning.search import End, Plan, Search
from localaws.tuning.strategies import Choice

Request = dict[str, Any]
Response = dict[str, Any]

KIND, TRIAL = "tuning-job", "tuning-trial"
_ENDED = ("Completed", "Failed", "Stopped")
_EVENT = "SageMaker HyperParameter Tuning Job State Change"
_FROM_JOB = (
    *("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime"),
    *("TrainingEndTime", "TrainingJobStatus", "FailureReason"),
)


class TuningJobs:
    """The operations on hyperparameter tuning jobs."""

    def __init__(
        self, context: Context, training: TrainingJobs, announce: Announce = nobody
    ) -> None:
        self._context, self._store, self._training = context, context.store, training
        self._tags, self._announce = Tags(context), announce
        self._searches: dict[str, Search] = {}
        model = service_model.load("sagemaker")
        operations = ("DescribeHyperParameterTuningJob", "ListHyperParameterTuningJobs")
        described, listed = (model.operation_model(name).output_shape for name in operations)
        self._described = frozenset(described.members)
        self._summarised = frozenset(
            listed.members["HyperParameterTuningJobSummaries"].member.members
        )

    def create_hyper_parameter_tuning_job(self, request: Request) -> Response:
        name = request["HyperParameterTuningJobName"]
        arn = self._context.arn("sagemaker", f"hyper-parameter-tuning-job/{name}")
        plan = plan_of(request)
        self._check(request, plan)
        now = self._context.now()
        record = {
            **{member: value for member, value in request.items() if member != "Tags"},
            "HyperParameterTuningJobArn": arn,
            "HyperParameterTuningJobStatus": "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
        }
        search = Search(
            plan,
            self._training,
            lambda number, choice: self._start_trial(record, number, choice),
            lambda end: self._end(name, end),
        )
        with self._store.transaction():
            if self._store.get(KIND, name):
                raise InUse(
                    "Hyperparameter tuning job names must be unique within an AWS account and "
                    f"region, and {arn} already exists."
                )
            self._store.put(KIND, name, record)
            self._tags.keep(arn, request.get("Tags"))
            self._tell(name)
        self._searches[name] = search
        search.begin()
        return {"HyperParameterTuningJobArn": arn}

    def describe_hyper_parameter_tuning_job(self, request: Request) -> Response:
        record = self._record(request["HyperParameterTuningJobName"])
        summaries, objective = self._summaries(record), _objective(record)
        statuses = [one["TrainingJobStatus"] for one in summaries]
        reached = [one["ObjectiveStatus"] for one in summaries]
        values = [value for one in summaries if (value := _value(one)) is not None]
        best = _best_first(summaries, objective)[:1]
        shown = {
            **record,
            "TrainingJobStatusCounters": {
                "Completed": statuses.count("Completed"),
                "InProgress": statuses.count("InProgress") + statuses.count("Stopping"),
                "RetryableError": 0,
                "NonRetryableError": statuses.count("Failed"),
                "Stopped": statuses.count("Stopped"),
            },
            "ObjectiveStatusCounters": {
                status: reached.count(status) for status in ("Succeeded", "Pending", "Failed")
            },
            "TuningJobCompletionDetails": {
                "NumberOfTrainingJobsObjectiveNotImproving": since_best(objective, values)
            },
            **({"BestTrainingJob": best[0]} if best else {}),
        }
        return {member: value for member, value in shown.items() if member in self._described}

    def list_training_jobs_for_hyper_parameter_tuning_job(self, request: Request) -> Response:
        record = self._record(request["HyperParameterTuningJobName"])
        found = self._summaries(record)
        if status := request.get("StatusEquals"):
            found = [one for one in found if one["TrainingJobStatus"] == status]
        by = request.get("SortBy", "Name")
        if by == "FinalObjectiveMetricValue":  # which leaves out the jobs without one
            found = [one for one in found if _value(one) is not None]
            found.sort(key=lambda one: _value(one) or 0.0)
        else:
            names = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}
            member = str(names.get(by, by))
            found.sort(key=lambda one: (one[member], one["TrainingJobName"]))
        if request.get("SortOrder") == "Descending":
            found.reverse()
        place = {"Marker": request.get("NextToken"), "MaxItems": request.get("MaxResults", 10)}
        if not str(place["Marker"] or 0).isdecimal():
            raise ValidationError("Invalid NextToken: it does not come from a list call.")
        shown, more = paged(found, place)
        return {"TrainingJobSummaries": shown, **({"NextToken": more} if more else {})}

    def list_hyper_parameter_tuning_jobs(self, request: Request) -> Response:
        names = [record["HyperParameterTuningJobName"] for record in self._store.all(KIND)]
        described = [
            self.describe_hyper_parameter_tuning_job({"HyperParameterTuningJobName": name})
            for name in names
        ]
        status = request.get("StatusEquals")
        found = [
            {
                **one,
                "Strategy": one["HyperParameterTuningJobConfig"]["Strategy"],
                "ResourceLimits": one["HyperParameterTuningJobConfig"]["ResourceLimits"],
            }
            for one in described
            if status in (None, one["HyperParameterTuningJobStatus"])
        ]
        shown, more = page(
            found,
            request,
            name="HyperParameterTuningJobName",
            default_sort="Name",
            default_order="Ascending",
            default_size=10,
        )
        summaries = [{k: v for k, v in one.items() if k in self._summarised} for one in shown]
        return {"HyperParameterTuningJobSummaries": summaries, **more}

    def stop_hyper_parameter_tuning_job(self, request: Request) -> Response:
        """InProgress → Stopping → Stopped; does nothing to a job that is over, as on AWS."""
        name = request["HyperParameterTuningJobName"]
        with self._store.transaction():
            if self._record(name)["HyperParameterTuningJobStatus"] != "InProgress":
                return {}
            self._change(name, HyperParameterTuningJobStatus="Stopping")
        if search := self._searches.get(name):
            search.stop()
        return {}

    def wait(self, name: str, timeout: float | None = None) -> Response:
        """Describe, once the job is over. TimeoutError after `timeout` seconds."""
        running = self._record(name)["HyperParameterTuningJobStatus"] not in _ENDED
        search = self._searches.get(name)  # none: it has ended since
        if running and search and not search.over.wait(timeout):
            raise TimeoutError(f"tuning job {name} still runs after {timeout} seconds")
        return self.describe_hyper_parameter_tuning_job({"HyperParameterTuningJobName": name})

    def best_first(self, name: str) -> list[Response]:
        """The summaries of the trials that have a value of the objective, the best one first."""
        record = self._record(name)
        return _best_first(self._summaries(record), _objective(record))

    def recover(self) -> None:
        """After a restart: what was running is shown as failed, like its trials."""
        for record in self._store.all(KIND):
            if record["HyperParameterTuningJobStatus"] not in _ENDED:
                self._end(record["HyperParameterTuningJobName"], End("Failed", SERVER_STOPPED))

    def shutdown(self) -> None:
        for search in list(self._searches.values()):
            search.abandon()

    def _check(self, request: Request, plan: Plan) -> None:
        """Refuses what no trial could be started with, as CreateTrainingJob would."""
        definition = request["TrainingJobDefinition"]
        static = definition.get("StaticHyperParameters") or {}
        both = sorted({one.name for one in plan.trials.searched} & set(static))
        if both:
            raise ValidationError(
                f"Hyperparameters cannot be static and have a range: {', '.join(both)}."
            )
        defined = definition["AlgorithmSpecification"].get("MetricDefinitions")
        if defined and plan.objective.name not in [metric["Name"] for metric in defined]:
            raise ValidationError(
                f"The objective metric {plan.objective.name} is not among the MetricDefinitions."
            )
        self._training.check(trial_of(request, "check", "check", plan.trials.choice(0)))

    def _start_trial(self, record: Request, number: int, choice: Choice) -> str:
        tuning = record["HyperParameterTuningJobName"]
        name = f"{tuning}-{number + 1:03}-{secrets.token_hex(4)}"
        # Before the job, so that no job of a search is ever without its place in it.
        trial = {"TrainingJobName": name, "TunedHyperParameters": choice}
        self._store.put(TRIAL, f"{tuning}/{name}", trial)
        try:
            arn = record["HyperParameterTuningJobArn"]
            self._training.create_training_job(trial_of(record, name, arn, choice))
        except BaseException:  # whatever it is: taken back, and raised again
            self._store.delete(TRIAL, f"{tuning}/{name}")
            raise
        return name

    def _summaries(self, record: Request) -> list[Response]:
        """One a trial, in the order of their start."""
        objective, found = _objective(record), []
        for trial in self._store.all(TRIAL, f"{record['HyperParameterTuningJobName']}/"):
            job = self._store.get("training-job", trial["TrainingJobName"])
            if job is None:
                continue  # about to be created
            summary = {member: job[member] for member in _FROM_JOB if member in job}
            summary["TunedHyperParameters"] = trial["TunedHyperParameters"]
            value = objective.value(job)
            over = job["TrainingJobStatus"] in _ENDED
            summary["ObjectiveStatus"] = "Failed" if over else "Pending"
            if value is not None:
                summary["ObjectiveStatus"] = "Succeeded"
                summary["FinalHyperParameterTuningJobObjectiveMetric"] = {
                    "MetricName": objective.name,
                    "Value": value,
                }
            found.append(summary)
        return found

    def _record(self, name: str) -> Request:
        record = self._store.get(KIND, name)
        if record is None:
            raise NotFound(f"Amazon SageMaker can't find a tuning job with the name {name}.")
        return record

    def _end(self, name: str, end: End) -> None:
        reason = {"FailureReason": end.reason} if end.reason else {}
        self._change(
            name,
            HyperParameterTuningJobStatus=end.status,
            HyperParameterTuningEndTime=self._context.now(),
            **reason,
        )
        self._searches.pop(name, None)

    def _change(self, name: str, **changes: Any) -> None:
        with self._store.transaction():
            self._store.update(KIND, name, LastModifiedTime=self._context.now(), **changes)
            self._tell(name)

    def _tell(self, name: str) -> None:
        given = {"HyperParameterTuningJobName": name}
        detail = self.describe_hyper_parameter_tuning_job(given)
        arn = detail["HyperParameterTuningJobArn"]
        detail["Tags"] = {tag["Key"]: tag["Value"] for tag in self._tags.of(arn)}
        self._announce(_EVENT, [arn], as_milliseconds(detail))


def _objective(record: Request) -> Objective:
    return Objective.read(record["HyperParameterTuningJobConfig"])


def _value(summary: Response) -> float | None:
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    return metric["Value"] if metric else None


def _best_first(summaries: list[Response], objective: Objective) -> list[Response]:
    """Those with a value; of equal ones the earlier first."""
    valued = [(value, one) for one in summaries if (value := _value(one)) is not None]
    return [one for _, one in sorted(valued, key=lambda pair: -objective.worth(pair[0]))]
