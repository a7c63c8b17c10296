"""Which permissions an operation needs: a few of each table, as AWS's reference has them."""

from typing import Any

import pytest

from localaws.permissions import s3_actions, service_actions
from localaws.permissions.actions import NotKnown, Place
from localaws.permissions.s3_actions import S3Call

PLACE = Place("aws-cn", "cn-north-1", "123456789012")
HERE = "cn-north-1:123456789012"
ROLE = "arn:aws-cn:iam::123456789012:role/job"
MACHINE = f"arn:aws-cn:states:{HERE}:stateMachine:m"


def needs(service: str, operation: str, **given: Any) -> list[tuple[str, str]]:
    found = service_actions.needs(PLACE, service, operation, given)
    return [(need.action, need.resource) for need in found]


@pytest.mark.parametrize(
    ("service", "operation", "given", "expected"),
    [
        (
            "sagemaker",
            "CreateTrainingJob",
            {"TrainingJobName": "t", "RoleArn": ROLE, "Tags": [{"Key": "a", "Value": "b"}]},
            [
                ("sagemaker:CreateTrainingJob", f"arn:aws-cn:sagemaker:{HERE}:training-job/t"),
                ("iam:PassRole", ROLE),
                ("sagemaker:AddTags", f"arn:aws-cn:sagemaker:{HERE}:training-job/t"),
            ],
        ),
        (
            "sagemaker",
            "CreateEndpoint",
            {"EndpointName": "e", "EndpointConfigName": "c"},
            [
                ("sagemaker:CreateEndpoint", f"arn:aws-cn:sagemaker:{HERE}:endpoint/e"),
                ("sagemaker:CreateEndpoint", f"arn:aws-cn:sagemaker:{HERE}:endpoint-config/c"),
            ],
        ),
        ("sagemaker", "ListModels", {}, [("sagemaker:ListModels", "*")]),
        (
            "sagemaker",
            "CreateHyperParameterTuningJob",
            {"HyperParameterTuningJobName": "h", "TrainingJobDefinition": {"RoleArn": ROLE}},
            [
                (
                    "sagemaker:CreateHyperParameterTuningJob",
                    f"arn:aws-cn:sagemaker:{HERE}:hyper-parameter-tuning-job/h",
                ),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "sagemaker",
            "DescribeModelPackage",
            {"ModelPackageName": f"arn:aws-cn:sagemaker:{HERE}:model-package/g/1"},
            [("sagemaker:DescribeModelPackage", f"arn:aws-cn:sagemaker:{HERE}:model-package/g/1")],
        ),
        (
            "lambda",
            "Invoke",
            {"FunctionName": "f"},
            [("lambda:InvokeFunction", f"arn:aws-cn:lambda:{HERE}:function:f")],
        ),
        (
            "lambda",
            "CreateFunction",
            {"FunctionName": "f", "Role": ROLE},
            [
                ("lambda:CreateFunction", f"arn:aws-cn:lambda:{HERE}:function:f"),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "states",
            "StartExecution",
            {"stateMachineArn": f"{MACHINE}:live"},
            [("states:StartExecution", MACHINE)],
        ),
        (
            "events",
            "PutEvents",
            {"Entries": [{"EventBusName": "own"}, {"EventBusName": "other"}]},
            [
                ("events:PutEvents", f"arn:aws-cn:events:{HERE}:event-bus/own"),
                ("events:PutEvents", f"arn:aws-cn:events:{HERE}:event-bus/other"),
            ],
        ),
        (
            "scheduler",
            "CreateSchedule",
            {"Name": "s", "Target": {"RoleArn": ROLE}},
            [
                ("scheduler:CreateSchedule", f"arn:aws-cn:scheduler:{HERE}:schedule/default/s"),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "sqs",
            "SendMessageBatch",
            {"QueueUrl": "http://127.0.0.1/123456789012/q"},
            [("sqs:SendMessage", f"arn:aws-cn:sqs:{HERE}:q")],
        ),
        (
            "logs",
            "CreateLogStream",
            {"logGroupName": "/g", "logStreamName": "s"},
            [("logs:CreateLogStream", f"arn:aws-cn:logs:{HERE}:log-group:/g:log-stream:")],
        ),
        ("monitoring", "PutMetricData", {"Namespace": "N"}, [("cloudwatch:PutMetricData", "*")]),
        (
            "monitoring",
            "DescribeAlarms",
            {"AlarmNames": ["a", "b"]},
            [
                ("cloudwatch:DescribeAlarms", f"arn:aws-cn:cloudwatch:{HERE}:alarm:a"),
                ("cloudwatch:DescribeAlarms", f"arn:aws-cn:cloudwatch:{HERE}:alarm:b"),
            ],
        ),
        ("sts", "AssumeRole", {"RoleArn": ROLE}, [("sts:AssumeRole", ROLE)]),
        ("sts", "GetCallerIdentity", {}, []),
        (
            "cloudformation",
            "CreateStack",
            {"StackName": "s", "RoleARN": ROLE},
            [
                ("cloudformation:CreateStack", f"arn:aws-cn:cloudformation:{HERE}:stack/s/*"),
                ("iam:PassRole", ROLE),
            ],
        ),
        (
            "kms",
            "Decrypt",
            {"KeyId": "0-1"},
            [("kms:Decrypt", f"arn:aws-cn:kms:{HERE}:key/0-1")],
        ),
    ],
)
def test_an_operation_needs_its_action_on_its_resource_and_what_it_hands_on(
    service: str, operation: str, given: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert needs(service, operation, **given) == expected


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "expected"),
    [
        ("GET", "b/k", {}, {}, [("GetObject", "b/k")]),
        ("HEAD", "b/k", {}, {}, [("GetObject", "b/k")]),
        ("GET", "b/k", {"versionId": "1"}, {}, [("GetObjectVersion", "b/k")]),
        ("GET", "b/k", {"tagging": ""}, {}, [("GetObjectTagging", "b/k")]),
        ("PUT", "b/k", {}, {}, [("PutObject", "b/k")]),
        ("POST", "b/k", {"uploads": ""}, {}, [("PutObject", "b/k")]),
        ("DELETE", "b/k", {"uploadId": "1"}, {}, [("AbortMultipartUpload", "b/k")]),
        ("DELETE", "b/k", {"versionId": "1"}, {}, [("DeleteObjectVersion", "b/k")]),
        (
            "PUT",
            "b/k",
            {},
            {"x-amz-copy-source": "/c/from%20here", "x-amz-tagging": "a=b"},
            [("GetObject", "c/from here"), ("PutObject", "b/k"), ("PutObjectTagging", "b/k")],
        ),
        ("GET", "b/", {"list-type": "2", "prefix": "p"}, {}, [("ListBucket", "b")]),
        ("HEAD", "b/", {}, {}, [("ListBucket", "b")]),
        ("GET", "b/", {"versions": ""}, {}, [("ListBucketVersions", "b")]),
        ("PUT", "b/", {}, {}, [("CreateBucket", "b")]),
        ("DELETE", "b/", {"policy": ""}, {}, [("DeleteBucketPolicy", "b")]),
        ("PUT", "b/", {"encryption": ""}, {}, [("PutEncryptionConfiguration", "b")]),
    ],
)
def test_a_request_to_s3_needs_what_its_method_path_and_query_say(
    method: str, path: str, query: Any, headers: Any, expected: list[tuple[str, str]]
) -> None:
    bucket, _, key = path.partition("/")
    found = s3_actions.needs(PLACE, S3Call(method, bucket, key, query, headers))
    told = [(need.action, need.resource) for need in found]
    assert told == [(f"s3:{action}", f"arn:aws-cn:s3:::{name}") for action, name in expected]


def test_each_object_of_a_list_to_delete_is_asked_for() -> None:
    body = b"<Delete xmlns='x'><Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>"
    call = S3Call("POST", "b", "", {"delete": ""}, {})
    assert [need.resource for need in s3_actions.needs(PLACE, call, lambda: body)] == [
        "arn:aws-cn:s3:::b/a",
        "arn:aws-cn:s3:::b/b",
    ]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("dynamodb", "ListTables"), ("sagemaker", "CreateNotebookInstance"), ("iam", "Simulate")],
)
def test_an_operation_outside_the_tables_is_not_known(service: str, operation: str) -> None:
    with pytest.raises(NotKnown, match=f"{service}:{operation}"):
        needs(service, operation)
