"""The operations on pipelines and executions: names, states, versions, order and pages."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import Conflict, NotFound, NotImplementedHere, ValidationError
from tests.localaws_parts import fail_with, until, until_stopped
from tests.pipelines_kit import ROLE, Fixture, definition, processing

TOKEN = "t" * 32


@pytest.fixture
def aws(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path / "home")


def test_a_pipeline_is_described_as_it_was_created(aws: Fixture) -> None:
    text = json.dumps(definition(processing("Prepare")))
    created = aws.api.create_pipeline(
        {
            "PipelineName": "AbalonePipeline",
            "RoleArn": ROLE,
            "PipelineDefinition": text,
            "PipelineDescription": "shells",
            "Tags": [{"Key": "team", "Value": "shells"}],
        }
    )
    arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/abalonepipeline"
    assert created == {"PipelineArn": arn}
    for name in ("AbalonePipeline", arn):
        described = aws.api.describe_pipeline({"PipelineName": name})
        assert described["PipelineArn"] == arn
        assert described["PipelineName"] == "AbalonePipeline"
        assert described["PipelineDefinition"] == text
        assert described["PipelineStatus"] == "Active"
        assert not described.keys() & {"Tags", "Version", "ClientRequestToken", "LastRunTime"}


def test_a_bad_definition_is_refused_in_the_services_words(aws: Fixture) -> None:
    with pytest.raises(ValidationError, match=r"Unable to parse pipeline definition\. Model Val"):
        aws.create(processing("Prepare", DependsOn=["Nothing"]))


def test_a_step_type_that_only_aws_runs_is_refused_by_name(aws: Fixture) -> None:
    with pytest.raises(NotImplementedHere, match="steps of type QualityCheck"):
        aws.create({"Name": "Score", "Type": "QualityCheck", "Arguments": {}})


def test_a_taken_name_is_refused_in_the_words_that_the_sdk_looks_for(aws: Fixture) -> None:
    aws.create(processing("Prepare"))
    request = {"PipelineName": "Abalone", "RoleArn": ROLE}
    request["PipelineDefinition"] = json.dumps(definition(processing("Prepare")))
    with pytest.raises(ValidationError, match="must be unique within an AWS account and region"):
        aws.api.create_pipeline(request)


def test_the_same_token_creates_one_pipeline_and_starts_one_execution(aws: Fixture) -> None:
    text = json.dumps(definition(processing("Prepare")))
    request = {"PipelineName": "Abalone", "RoleArn": ROLE, "PipelineDefinition": text}
    request["ClientRequestToken"] = TOKEN
    assert aws.api.create_pipeline(request) == aws.api.create_pipeline(request)
    start = {"PipelineName": "Abalone", "ClientRequestToken": TOKEN}
    first = aws.api.start_pipeline_execution(start)
    assert aws.api.start_pipeline_execution(start) == first
    other = aws.api.start_pipeline_execution({**start, "ClientRequestToken": "u" * 32})
    assert other != first
    aws.end(first["PipelineExecutionArn"])
    aws.end(other["PipelineExecutionArn"])
    assert len(aws.processing.started) == 2


def test_a_definition_is_taken_from_s3(aws: Fixture) -> None:
    text = json.dumps(definition(processing("Prepare")))
    aws.objects.write("bucket", "definitions/one.json", text.encode())
    location = {"Bucket": "bucket", "ObjectKey": "definitions/one.json"}
    request = {"PipelineName": "P", "RoleArn": ROLE, "PipelineDefinitionS3Location": location}
    aws.api.create_pipeline(request)
    assert aws.api.describe_pipeline({"PipelineName": "P"})["PipelineDefinition"] == text
    location["ObjectKey"] = "definitions/two.json"
    with pytest.raises(ValidationError, match=r"s3://bucket/definitions/two\.json"):
        aws.api.update_pipeline(request)
    with pytest.raises(ValidationError, match="Both"):
        aws.api.update_pipeline({**request, "PipelineDefinition": text})


def test_an_illegal_update_changes_nothing(aws: Fixture) -> None:
    name = aws.create(processing("Prepare"))
    before = aws.api.describe_pipeline({"PipelineName": name})
    with pytest.raises(ValidationError):
        aws.api.update_pipeline(
            {"PipelineName": name, "PipelineDefinition": "{", "PipelineDescription": "new"}
        )
    assert aws.api.describe_pipeline({"PipelineName": name}) == before


def test_each_update_is_a_version_and_an_execution_keeps_its_own(aws: Fixture) -> None:
    name = aws.create(processing("One"))
    first = aws.start()
    aws.end(first)
    assert aws.create(processing("Two"))
    versions = aws.api.list_pipeline_versions({"PipelineName": name})["PipelineVersionSummaries"]
    assert [version["PipelineVersionId"] for version in versions] == [2, 1]
    assert versions[1]["LastExecutionPipelineExecutionArn"] == first
    old = aws.api.describe_pipeline({"PipelineName": name, "PipelineVersionId": 1})
    request = {"PipelineExecutionArn": first}
    kept = aws.api.describe_pipeline_definition_for_execution(request)
    assert kept["PipelineDefinition"] == old["PipelineDefinition"]
    again = aws.start(PipelineVersionId=1)
    assert aws.end(again)["PipelineVersionId"] == 1
    assert aws.states(again).keys() == {"One"}
    with pytest.raises(NotFound, match="version 3"):
        aws.api.describe_pipeline({"PipelineName": name, "PipelineVersionId": 3})


def test_a_pipeline_with_a_running_execution_cannot_be_deleted(aws: Fixture) -> None:
    aws.programs["wait"] = until_stopped
    arn = aws.start(processing("Long", "wait"), ClientRequestToken=TOKEN)
    with pytest.raises(Conflict, match="running executions"):
        aws.api.delete_pipeline({"PipelineName": "Abalone"})
    until(lambda: aws.states(arn).get("Long") == "Executing")
    aws.api.stop_pipeline_execution({"PipelineExecutionArn": arn})
    aws.end(arn)
    aws.api.delete_pipeline({"PipelineName": "Abalone"})
    for call, request in (
        (aws.api.describe_pipeline, {"PipelineName": "Abalone"}),
        (aws.api.describe_pipeline_execution, {"PipelineExecutionArn": arn}),
        (aws.api.list_pipeline_execution_steps, {"PipelineExecutionArn": arn}),
        (aws.api.start_pipeline_execution, {"PipelineName": "Abalone"}),
    ):
        with pytest.raises(NotFound, match="does not exist"):
            call(request)
    assert aws.context.store.all("pipeline-step") == []
    assert aws.context.store.all("pipeline-token") == []
    assert aws.context.store.all("pipeline-version") == []


def test_an_execution_is_described_with_its_names_and_its_experiment(aws: Fixture) -> None:
    body: Any = definition(processing("Prepare"))
    body["PipelineExperimentConfig"] = {
        "ExperimentName": {"Get": "Execution.PipelineName"},
        "TrialName": {"Get": "Execution.PipelineExecutionId"},
    }
    request = {"PipelineName": "Abalone", "RoleArn": ROLE, "PipelineDefinition": json.dumps(body)}
    aws.api.create_pipeline(request)
    arn = aws.start(PipelineExecutionDisplayName="first", PipelineExecutionDescription="try")
    described = aws.end(arn)
    identifier = arn.rpartition("/")[2]
    assert len(identifier) == 12
    assert identifier == identifier.lower()
    assert described["PipelineExecutionArn"] == arn
    assert described["PipelineExecutionDisplayName"] == "first"
    config = {"ExperimentName": "Abalone", "TrialName": identifier}
    assert described["PipelineExperimentConfig"] == config
    assert aws.processing.requests()[0]["ExperimentConfig"] == config
    aws.api.update_pipeline_execution(
        {"PipelineExecutionArn": arn, "PipelineExecutionDisplayName": "renamed"}
    )
    assert aws.describe(arn)["PipelineExecutionDisplayName"] == "renamed"


def test_executions_are_listed_latest_first_filtered_and_in_pages(aws: Fixture) -> None:
    aws.programs["broken"] = fail_with("AlgorithmError: no")
    arns = []
    for image in ("broken", "succeed", "succeed"):
        aws.clock.advance(hours=1)
        arns.append(aws.start(processing("Prepare", image)))
        aws.end(arns[-1])
    request: dict[str, Any] = {"PipelineName": "Abalone"}
    listed = aws.api.list_pipeline_executions(request)["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in listed] == arns[::-1]
    assert listed[2]["PipelineExecutionStatus"] == "Failed"
    assert "AlgorithmError: no" in listed[2]["PipelineExecutionFailureReason"]
    after = aws.describe(arns[0])["CreationTime"] + datetime.timedelta(minutes=1)
    recent = aws.api.list_pipeline_executions({**request, "CreatedAfter": after})
    assert len(recent["PipelineExecutionSummaries"]) == 2
    page, seen = aws.api.list_pipeline_executions({**request, "MaxResults": 2}), []
    seen += page["PipelineExecutionSummaries"]
    newer = aws.start()  # does not disturb the pages
    aws.end(newer)
    page = aws.api.list_pipeline_executions(
        {**request, "MaxResults": 2, "NextToken": page["NextToken"]}
    )
    seen += page["PipelineExecutionSummaries"]
    assert [item["PipelineExecutionArn"] for item in seen] == arns[::-1]
    assert "NextToken" not in page
    with pytest.raises(ValidationError, match="NextToken"):
        aws.api.list_pipeline_executions({**request, "NextToken": "%%"})


def test_steps_and_parameters_are_listed(aws: Fixture) -> None:
    arn = aws.start(
        processing("One"),
        processing("Two", DependsOn=["One"]),
        parameters=[
            {"Name": "Rate", "Type": "Float", "DefaultValue": 0.5},
            {"Name": "Fast", "Type": "Boolean", "DefaultValue": True},
        ],
        PipelineParameters=[{"Name": "Rate", "Value": "0.25"}],
    )
    aws.end(arn)
    request = {"PipelineExecutionArn": arn}
    latest = aws.api.list_pipeline_execution_steps(request)
    assert [step["StepName"] for step in latest["PipelineExecutionSteps"]] == ["Two", "One"]
    ascending = aws.api.list_pipeline_execution_steps({**request, "SortOrder": "Ascending"})
    assert [step["StepName"] for step in ascending["PipelineExecutionSteps"]] == ["One", "Two"]
    assert aws.api.list_pipeline_parameters_for_execution(request)["PipelineParameters"] == [
        {"Name": "Fast", "Value": "true"},
        {"Name": "Rate", "Value": "0.25"},
    ]


def test_pipelines_are_listed_by_prefix_and_name(aws: Fixture) -> None:
    for name in ("scones-b", "other", "scones-a"):
        aws.create(processing("Prepare"), name=name)
    listed = aws.api.list_pipelines(
        {"PipelineNamePrefix": "scones", "SortBy": "Name", "SortOrder": "Ascending"}
    )
    assert [p["PipelineName"] for p in listed["PipelineSummaries"]] == ["scones-a", "scones-b"]


def test_wrong_parameters_start_nothing(aws: Fixture) -> None:
    aws.create(processing("Prepare"), parameters=[{"Name": "Epochs", "Type": "Integer"}])
    with pytest.raises(ValidationError, match="Parameter 'Epochs' is undefined"):
        aws.start()
    with pytest.raises(ValidationError, match="Unexpected type for parameter 'Epochs'"):
        aws.start(PipelineParameters=[{"Name": "Epochs", "Value": "many"}])
    listed = aws.api.list_pipeline_executions({"PipelineName": "Abalone"})
    assert listed["PipelineExecutionSummaries"] == []


def test_what_only_aws_does_is_refused_by_name(aws: Fixture) -> None:
    aws.create(processing("Prepare"))
    with pytest.raises(NotImplementedHere, match="SelectiveExecutionConfig"):
        aws.start(SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "Prepare"}]})
    with pytest.raises(NotImplementedHere, match="MlflowExperimentName"):
        aws.start(MlflowExperimentName="mine")


def test_only_what_runs_is_stopped_and_only_what_ended_badly_is_retried(aws: Fixture) -> None:
    arn = aws.start(processing("Prepare"))
    aws.end(arn)
    request = {"PipelineExecutionArn": arn}
    with pytest.raises(ValidationError, match="has status Succeeded"):
        aws.api.stop_pipeline_execution(request)
    with pytest.raises(ValidationError, match="has status Succeeded"):
        aws.api.retry_pipeline_execution(request)
    missing = {"PipelineExecutionArn": arn[:-1] + "?"}
    with pytest.raises(NotFound, match="does not exist"):
        aws.api.retry_pipeline_execution(missing)


def test_two_executions_at_once_do_not_meet(aws: Fixture) -> None:
    aws.create(processing("One"), processing("Two", DependsOn=["One"]))
    arns = [aws.start() for _ in range(5)]
    for arn in arns:
        assert aws.end(arn)["PipelineExecutionStatus"] == "Succeeded"
        assert aws.states(arn).keys() == {"One", "Two"}
    uris = [
        job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        for job in aws.processing.requests()
    ]
    assert len(set(uris)) == 10
