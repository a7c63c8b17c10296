"""Roles may do what their policies say and nothing else, as boto3 with their credentials finds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.permissions.record import read
from tests.conftest import LocalAws
from tests.functions_kit import invoke, make_function, receive, until
from tests.hosting_kit import poll
from tests.roles import as_role, make_role, may
from tests.unit.job_kit import processing_input, processing_outputs, processing_request

BUCKET = "guarded-bucket"
OBJECTS = f"arn:aws:s3:::{BUCKET}"
ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:t"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A server with a bucket, that records what it decides."""
    folder = tmp_path_factory.mktemp("guarded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCALAWS_DECISIONS", str(folder / "decisions.jsonl"))
        server = LocalAws(folder / "home")
    s3 = server.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key in ("raw/a.txt", "raw/b.txt", "secret/c.txt"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    yield server
    server.stop()


def refused(call: Any, **request: Any) -> tuple[int, str, str]:
    """The status, code and message of a refusal."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    told = caught.value.response
    return (
        told["ResponseMetadata"]["HTTPStatusCode"],
        told["Error"]["Code"],
        told["Error"]["Message"],
    )


READS = {"Sid": "Read", "Action": "s3:GetObject", "Resource": f"{OBJECTS}/raw/*"}
LISTS = {
    "Sid": "List",
    "Action": "s3:ListBucket",
    "Resource": OBJECTS,
    "Condition": {"StringLike": {"s3:prefix": "raw/*"}},
}


def test_an_action_a_resource_and_a_condition_that_are_not_allowed_are_refused(aws: Any) -> None:
    make_role(aws, "reader", READS, LISTS)
    s3 = as_role(aws, "reader", "s3")
    assert s3.get_object(Bucket=BUCKET, Key="raw/a.txt")["Body"].read() == b"raw/a.txt"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="raw/")["KeyCount"] == 2
    who = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/reader/tester is not authorized to perform: "
    end = "because no identity-based policy allows the s3:{} action"
    for call, request, action, resource in (
        (s3.put_object, {"Key": "raw/a.txt", "Body": b""}, "PutObject", "/raw/a.txt"),
        (s3.get_object, {"Key": "secret/c.txt"}, "GetObject", "/secret/c.txt"),
        (s3.list_objects_v2, {"Prefix": "secret/"}, "ListBucket", ""),
        (s3.list_objects_v2, {}, "ListBucket", ""),
        (s3.get_object, {"Key": "raw/none.txt"}, "ListBucket", ""),  # it must not be told apart
    ):
        assert refused(call, Bucket=BUCKET, **request) == (
            403,
            "AccessDenied",
            f'{who}s3:{action} on resource: "{OBJECTS}{resource}" {end.format(action)}',
        )
    assert refused(s3.head_object, Bucket=BUCKET, Key="secret/c.txt")[0] == 403


def test_a_missing_object_is_a_404_to_who_may_list(aws: Any) -> None:
    make_role(aws, "lister", READS, {"Action": "s3:ListBucket", "Resource": OBJECTS})
    s3 = as_role(aws, "lister", "s3")
    assert refused(s3.get_object, Bucket=BUCKET, Key="raw/none.txt")[1] == "NoSuchKey"


def test_a_policy_that_changes_counts_from_the_next_request_on(aws: Any) -> None:
    make_role(aws, "changing", READS)
    s3 = as_role(aws, "changing", "s3")
    s3.get_object(Bucket=BUCKET, Key="raw/a.txt")
    may(
        aws,
        "changing",
        READS,
        {**READS, "Sid": "Not", "Effect": "Deny", "Resource": f"{OBJECTS}/raw/a*"},
    )
    _, code, message = refused(s3.get_object, Bucket=BUCKET, Key="raw/a.txt")
    assert code == "AccessDenied"
    assert message.endswith("with an explicit deny in an identity-based policy")
    s3.get_object(Bucket=BUCKET, Key="raw/b.txt")


def test_a_boundary_and_a_session_policy_cap_a_role(aws: Any) -> None:
    make_role(aws, "capped", {"Action": "*"})
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **READS}]}
    s3 = as_role(aws, "capped", "s3", Policy=json.dumps(document))
    s3.get_object(Bucket=BUCKET, Key="raw/a.txt")
    message = refused(s3.get_object, Bucket=BUCKET, Key="secret/c.txt")[2]
    assert message.endswith("because no session policy allows the s3:GetObject action")
    iam = aws.client("iam")
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=json.dumps(document))
    iam.put_role_permissions_boundary(RoleName="capped", PermissionsBoundary=limit["Policy"]["Arn"])
    s3 = as_role(aws, "capped", "s3")
    s3.get_object(Bucket=BUCKET, Key="raw/a.txt")
    message = refused(s3.get_object, Bucket=BUCKET, Key="secret/c.txt")[2]
    assert message.endswith("because no permissions boundary allows the s3:GetObject action")


def test_a_users_policies_count_and_a_key_of_nobody_is_refused(aws: Any) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    own = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **READS}]}
    iam.put_user_policy(UserName="ann", PolicyName="own", PolicyDocument=json.dumps(own))
    s3 = aws.client("s3", aws_access_key_id=key["AccessKeyId"])
    s3.get_object(Bucket=BUCKET, Key="raw/a.txt")
    message = refused(s3.delete_object, Bucket=BUCKET, Key="raw/a.txt")[2]
    assert message.startswith(f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized")
    nobody = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}
    for service, operation, code in (
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("sagemaker", "list_models", "UnrecognizedClientException"),
    ):
        call = getattr(aws.client(service, **nobody), operation)
        assert refused(call)[1] == code


@pytest.mark.parametrize(
    ("service", "operation", "request_", "status", "code", "named"),
    [
        ("sagemaker", "list_models", {}, 400, "AccessDeniedException", "sagemaker:ListModels"),
        (
            "sagemaker-runtime",
            "invoke_endpoint",
            {"EndpointName": "e", "Body": b""},
            403,
            "AccessDeniedException",
            f"sagemaker:us-east-1:{ACCOUNT}:endpoint/e",
        ),
        ("lambda", "invoke", {"FunctionName": "f"}, 403, "AccessDeniedException", "function:f"),
        (
            "stepfunctions",
            "list_state_machines",
            {},
            400,
            "AccessDeniedException",
            "states:ListStateMachines",
        ),
        ("sns", "publish", {"TopicArn": TOPIC, "Message": ""}, 403, "AuthorizationError", "SNS:"),
        ("sqs", "create_queue", {"QueueName": "q"}, 403, "AccessDenied", "sqs:createqueue"),
        ("iam", "get_role", {"RoleName": "powerless"}, 403, "AccessDenied", ":role/powerless"),
        ("cloudformation", "describe_stacks", {"StackName": "s"}, 403, "AccessDenied", "stack/s"),
        ("dynamodb", "list_tables", {}, 400, "AccessDeniedException", "localaws does not know"),
    ],
)  # fmt: skip
def test_each_service_refuses_in_its_own_format(
    aws: Any, service: str, operation: str, request_: Any, status: int, code: str, named: str
) -> None:
    make_role(aws, "powerless", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::no/*"})
    client = as_role(aws, "powerless", service)
    told = refused(getattr(client, operation), **request_)
    assert told[:2] == (status, code)
    assert named in told[2]
    assert as_role(aws, "powerless", "sts").get_caller_identity()["Account"] == ACCOUNT


def test_a_role_is_passed_on_only_with_permission_and_to_the_service_that_is_named(
    aws: Any,
) -> None:
    job_role = make_role(aws, "job")
    hand = {"Action": "iam:PassRole", "Resource": job_role}
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    to_sagemaker = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    make_role(aws, "starter", {"Action": "sagemaker:CreateProcessingJob"})
    sagemaker = as_role(aws, "starter", "sagemaker")
    job = processing_request("handed-on", "pass", RoleArn=job_role)
    for statements in ([], [{**hand, "Condition": to_lambda}]):
        may(aws, "starter", {"Action": "sagemaker:CreateProcessingJob"}, *statements)
        message = refused(sagemaker.create_processing_job, **job)[2]
        assert f"iam:PassRole on resource: {job_role}" in message
    may(aws, "starter", {"Action": "sagemaker:*"}, {**hand, "Condition": to_sagemaker})
    sagemaker.create_processing_job(**job)


def logged(aws: Any, job: str) -> list[Any]:
    """The log streams of a processing job."""
    logs = aws.client("logs")
    try:
        found = logs.describe_log_streams(
            logGroupName="/aws/sagemaker/ProcessingJobs", logStreamNamePrefix=f"{job}/"
        )
    except logs.exceptions.ResourceNotFoundException:
        return []
    return list(found["logStreams"])


def run_job(aws: Any, name: str, script: str, **members: Any) -> dict[str, Any]:
    sagemaker = aws.client("sagemaker")
    sagemaker.create_processing_job(**processing_request(name, script, **members))

    def ended() -> Any:
        found = sagemaker.describe_processing_job(ProcessingJobName=name)
        return found if found["ProcessingJobStatus"] in ("Completed", "Failed") else None

    return dict(poll(ended, 60))


def test_a_job_downloads_calls_uploads_and_logs_with_its_own_role(aws: Any) -> None:
    role = make_role(aws, "worker", LISTS)
    inputs = [processing_input("raw", f"s3://{BUCKET}/raw/", "/opt/ml/processing/raw")]
    outputs = processing_outputs("/opt/ml/processing/output", f"s3://{BUCKET}/out")
    script = """
        import boto3
        s3 = boto3.client("s3", region_name="us-east-1")
        try:
            s3.get_object(Bucket="guarded-bucket", Key="secret/c.txt")
        except Exception as error:
            open("/opt/ml/processing/output/said.txt", "w").write(str(error))
    """
    members = {"RoleArn": role, "ProcessingInputs": inputs, "ProcessingOutputConfig": outputs}
    first = run_job(aws, "cannot-read", script, **members)
    assert "Data download failed:AccessDenied (403)" in first["FailureReason"]
    who, what = "assumed-role/worker/SageMaker", f"s3:GetObject on resource: {OBJECTS}/raw/a.txt"
    assert f"{who} is not authorized to perform: {what}" in first["FailureReason"]
    may(aws, "worker", LISTS, READS)
    second = run_job(aws, "cannot-write", script, **members)
    assert "Artifact upload failed:AccessDenied (403)" in second["FailureReason"]
    assert "s3:PutObject" in second["FailureReason"]
    assert logged(aws, "cannot-write") == []  # the job ran all the same
    writes = {"Action": "s3:PutObject", "Resource": f"{OBJECTS}/out/*"}
    logs = {"Action": "logs:*", "Resource": "arn:aws:logs:*:*:log-group:/aws/sagemaker/*"}
    may(aws, "worker", LISTS, READS, writes, logs)
    third = run_job(aws, "may", script, **members)
    assert third["ProcessingJobStatus"] == "Completed", third.get("FailureReason")
    said = aws.client("s3").get_object(Bucket=BUCKET, Key="out/said.txt")["Body"].read().decode()
    assert "is not authorized to perform: s3:GetObject" in said
    assert len(logged(aws, "may")) == 1


PUTS = """
import boto3
def handler(event, context):
    boto3.client("s3").put_object(Bucket="guarded-bucket", Key=event["key"], Body=b"x")
"""


def test_a_function_and_a_state_machine_act_with_their_own_roles(aws: Any) -> None:
    writer = make_role(aws, "putter", {"Action": "s3:PutObject", "Resource": f"{OBJECTS}/in/*"})
    arn = make_function(aws, "puts", PUTS, Role=writer)
    assert invoke(aws, "puts", {"key": "in/a"}) == (None, None)
    told, error = invoke(aws, "puts", {"key": "raw/a"})
    assert (error, "AccessDenied" in told["errorMessage"]) == ("Unhandled", True)
    definition = {
        "StartAt": "Put",
        "States": {"Put": {"Type": "Task", "Resource": arn, "End": True}},
    }
    role = make_role(aws, "machine", {"Action": "lambda:InvokeFunction", "Resource": f"{arn}-not"})
    states = aws.client("stepfunctions")
    machine = states.create_state_machine(
        name="puts", definition=json.dumps(definition), roleArn=role
    )["stateMachineArn"]

    def run() -> dict[str, Any]:
        started = states.start_execution(stateMachineArn=machine, input='{"key": "in/b"}')
        arn = started["executionArn"]
        ended = until(
            lambda: (e := states.describe_execution(executionArn=arn))["status"] != "RUNNING" and e
        )
        return dict(ended)

    failed = run()
    assert failed["status"] == "FAILED"
    who = "assumed-role/machine/StepFunctions"
    assert f"{who} is not authorized to perform: lambda:InvokeFunction" in failed["cause"]
    may(aws, "machine", {"Action": "lambda:InvokeFunction", "Resource": arn})
    assert run()["status"] == "SUCCEEDED"


def test_a_rule_reaches_what_its_targets_policy_lets_it_and_else_its_dead_letters(
    aws: Any,
) -> None:
    events, sqs = aws.client("events"), aws.client("sqs")
    target, dead = (sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("target", "dead"))
    rule = events.put_rule(Name="guarded", EventPattern='{"source": ["tests"]}')["RuleArn"]
    queues = f"arn:aws:sqs:us-east-1:{ACCOUNT}"

    def let(url: str, name: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": f"{queues}:{name}",
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    let(dead, "dead")
    events.put_targets(
        Rule="guarded",
        Targets=[
            {
                "Id": "one",
                "Arn": f"{queues}:target",
                "DeadLetterConfig": {"Arn": f"{queues}:dead"},
            }
        ],
    )
    event = {"Source": "tests", "DetailType": "Said", "Detail": '{"n": 1}'}
    events.put_events(Entries=[event])
    buried = receive(aws, dead)
    assert buried["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"
    let(target, "target")
    events.put_events(Entries=[event])
    assert json.loads(receive(aws, target)["Body"])["detail"] == {"n": 1}


def test_an_object_under_a_customers_key_needs_the_key_too(aws: Any) -> None:
    kms, s3 = aws.client("kms"), aws.client("s3")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="sealed-bucket")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": default}
    s3.put_bucket_encryption(
        Bucket="sealed-bucket", ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    objects = {"Action": "s3:*", "Resource": "arn:aws:s3:::sealed-bucket/*"}
    make_role(aws, "sealer", objects)
    own = as_role(aws, "sealer", "s3")
    sealed = {"Bucket": "sealed-bucket", "Key": "a"}
    assert f'kms:GenerateDataKey on resource: "{key}"' in refused(own.put_object, **sealed)[2]
    s3.put_object(**sealed, Body=b"x")
    assert "kms:Decrypt" in refused(own.get_object, **sealed)[2]
    may(aws, "sealer", objects, {"Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": key})
    own.put_object(**sealed, Body=b"y")
    assert own.get_object(**sealed)["Body"].read() == b"y"
    other = {"Effect": "Allow", "Principal": {"AWS": "210987654321"}, "Action": "kms:*"}
    policy = {"Version": "2012-10-17", "Statement": [{**other, "Resource": "*"}]}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    assert "no resource-based policy" in refused(own.get_object, **sealed)[2]


def test_a_deny_in_a_buckets_policy_is_for_everyone_and_unsigned_requests_are_for_nobody(
    aws: Any,
) -> None:
    import urllib.error
    import urllib.request

    s3 = aws.client("s3")
    s3.create_bucket(Bucket="strict-bucket")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::strict-bucket/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket="strict-bucket", Policy=policy)
    message = refused(s3.put_object, Bucket="strict-bucket", Key="a", Body=b"")[2]
    assert message.endswith("with an explicit deny in a resource-based policy")
    s3.put_object(Bucket="strict-bucket", Key="a", Body=b"", ServerSideEncryption="aws:kms")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{aws.endpoint_url}/strict-bucket/a")
    assert caught.value.code == 403


def test_each_decision_about_a_role_is_recorded_once_with_the_statement_that_allowed(
    aws: Any,
) -> None:
    make_role(aws, "recorded", READS)
    s3 = as_role(aws, "recorded", "s3")
    for _ in range(2):
        s3.get_object(Bucket=BUCKET, Key="raw/a.txt")
    refused(s3.get_object, Bucket=BUCKET, Key="secret/c.txt")
    entries = [
        entry
        for entry in read(aws.home.parent / "decisions.jsonl")
        if entry.principal.endswith(":role/recorded")
    ]
    told = [(entry.action, entry.allowed, entry.by, entry.policy, entry.sid) for entry in entries]
    because = "because no identity-based policy allows the s3:GetObject action"
    assert told == [
        ("s3:GetObject", True, "identity", "recorded/own", "Read"),
        ("s3:GetObject", False, because, "", ""),
    ]
