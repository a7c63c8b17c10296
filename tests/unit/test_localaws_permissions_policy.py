"""The logic of IAM, case by case as its user guide tells it."""

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localaws.permissions.patterns import matches
from localaws.permissions.policy import Decision, Policies, Policy, Principal, Request, decide

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app/trainer"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/trainer/job"
OBJECT = "arn:aws:s3:::bucket/raw/a.png"
PRINCIPAL = Principal(SESSION, ACCOUNT, (ROLE, SESSION))


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> Policy:
    return Policy("p", json.dumps({"Version": version, "Statement": list(statements)}))


def statement(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": OBJECT, **elements}


def ask(
    policies: Policies,
    action: str = "s3:GetObject",
    resource: str = OBJECT,
    principal: Principal = PRINCIPAL,
    **context: Any,
) -> Decision:
    keys = {name.replace("__", ":").lower(): value for name, value in context.items()}
    return decide(Request(principal, action, resource, keys), policies)


def allows(*statements: dict[str, Any], **request: Any) -> bool:
    return ask(Policies([policy(*statements)]), **request).allowed


@pytest.mark.parametrize(
    ("elements", "is_allowed"),
    [
        ({}, True),
        ({"Action": "S3:getobject"}, True),  # actions know no case
        ({"Action": "s3:Get*"}, True),
        ({"Action": "s3:GetObjec?"}, True),
        ({"Action": ["sqs:SendMessage", "s3:*"]}, True),
        ({"Action": "s3:GetObjectTagging"}, False),
        ({"Resource": "*"}, True),
        ({"Resource": "arn:aws:s3:::bucket/*"}, True),
        ({"Resource": "arn:aws:s3:::Bucket/*"}, False),  # resources do
        ({"Resource": "arn:aws:s3:::bucket"}, False),
        ({"Resource": "arn:*:s3:::*/a.png"}, True),
        ({"Resource": "arn:aws:s3:::${aws:PrincipalAccount}/*"}, False),
    ],
)
def test_a_statement_allows_the_actions_and_resources_that_it_names(
    elements: dict[str, Any], is_allowed: bool
) -> None:
    given_ = {"aws__PrincipalAccount": ACCOUNT}
    assert allows(statement(**elements), **given_) is is_allowed


def test_not_action_and_not_resource_name_what_is_left_out() -> None:
    assert allows({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    assert not allows({"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"})
    others = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::bucket/raw/*"}
    assert not allows(others)
    assert allows(others, resource="arn:aws:s3:::bucket/code/a.py")


def test_a_variable_stands_for_the_requests_value_and_an_unknown_one_fits_nothing() -> None:
    home = statement(Resource="arn:aws:s3:::bucket/${aws:PrincipalTag/team, 'none'}/*")
    assert allows(home, resource="arn:aws:s3:::bucket/red/a", **{"aws__principaltag/team": "red"})
    assert allows(home, resource="arn:aws:s3:::bucket/none/a")
    assert not allows(statement(Resource="arn:aws:s3:::bucket/${aws:username}/*"))
    literal = statement(Resource="arn:aws:s3:::bucket/${*}/a")
    assert allows(literal, resource="arn:aws:s3:::bucket/*/a")
    assert not allows(literal, resource="arn:aws:s3:::bucket/b/a")


def test_variables_are_text_in_the_old_version_of_the_language() -> None:
    old = policy(statement(Resource="arn:aws:s3:::${aws:username}"), version="2008-10-17")
    said = {"aws__username": "ann"}
    assert not ask(Policies([old]), resource="arn:aws:s3:::ann", **said).allowed
    assert ask(Policies([old]), resource="arn:aws:s3:::${aws:username}", **said).allowed


CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"StringEquals": {"s3:prefix": "raw/"}}, {"s3:prefix": "raw/"}, True),
    ({"StringEquals": {"S3:Prefix": "raw/"}}, {"s3:prefix": "raw/"}, True),
    ({"StringEquals": {"s3:prefix": ["code/", "raw/"]}}, {"s3:prefix": "raw/"}, True),
    ({"StringEquals": {"s3:prefix": "raw/"}}, {"s3:prefix": "RAW/"}, False),
    ({"StringEquals": {"s3:prefix": "raw/*"}}, {"s3:prefix": "raw/x"}, False),
    ({"StringEquals": {"s3:prefix": "raw/"}}, {}, False),
    ({"StringEqualsIfExists": {"s3:prefix": "raw/"}}, {}, True),
    ({"StringEqualsIfExists": {"s3:prefix": "raw/"}}, {"s3:prefix": "x"}, False),
    ({"StringNotEquals": {"s3:prefix": ["a", "b"]}}, {"s3:prefix": "b"}, False),
    ({"StringNotEquals": {"s3:prefix": ["a", "b"]}}, {"s3:prefix": "c"}, True),
    ({"StringNotEquals": {"s3:prefix": "a"}}, {}, True),
    ({"StringEqualsIgnoreCase": {"s3:prefix": "RAW/"}}, {"s3:prefix": "raw/"}, True),
    ({"StringNotEqualsIgnoreCase": {"s3:prefix": "RAW/"}}, {"s3:prefix": "raw/"}, False),
    ({"StringLike": {"s3:prefix": ["code/*", "raw/*"]}}, {"s3:prefix": "raw/a/b"}, True),
    ({"StringLike": {"s3:prefix": "raw/?"}}, {"s3:prefix": "raw/ab"}, False),
    ({"StringNotLike": {"s3:prefix": "raw/*"}}, {"s3:prefix": "raw/a"}, False),
    (
        {"StringLike": {"s3:prefix": "${aws:username}/*"}},
        {"s3:prefix": "ann/x", "aws:username": "ann"},
        True,
    ),
    ({"NumericEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "10.0"}, True),
    ({"NumericNotEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "10"}, False),
    ({"NumericLessThan": {"s3:max-keys": 10}}, {"s3:max-keys": "9"}, True),
    ({"NumericLessThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "10"}, True),
    ({"NumericGreaterThan": {"s3:max-keys": "10"}}, {"s3:max-keys": "10"}, False),
    ({"NumericGreaterThanEquals": {"s3:max-keys": "10"}}, {"s3:max-keys": "10"}, True),
    ({"NumericEquals": {"s3:max-keys": "ten"}}, {"s3:max-keys": "10"}, False),
    (
        {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
        {"aws:currenttime": "2026-06-01T00:00:00Z"},
        True,
    ),
    (
        {"DateLessThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"}},
        {"aws:currenttime": "2026-06-01T00:00:00Z"},
        False,
    ),
    (
        {"DateLessThan": {"aws:EpochTime": "2026-01-01T00:00:00Z"}},
        {"aws:epochtime": "1700000000"},
        True,
    ),
    ({"Bool": {"aws:SecureTransport": True}}, {"aws:securetransport": "true"}, True),
    ({"Bool": {"aws:SecureTransport": "false"}}, {"aws:securetransport": "true"}, False),
    ({"Null": {"aws:SourceVpc": "true"}}, {}, True),
    ({"Null": {"aws:SourceVpc": "false"}}, {}, False),
    ({"Null": {"aws:SourceVpc": "false"}}, {"aws:sourcevpc": "vpc-1"}, True),
    ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, {"aws:sourceip": "127.0.0.1"}, True),
    ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, {"aws:sourceip": "127.0.0.1"}, False),
    ({"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, {"aws:sourceip": "127.0.0.1"}, True),
    (
        {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:1:rule/*"}},
        {"aws:sourcearn": "arn:aws:events:x:1:rule/r"},
        True,
    ),
    (
        {"ArnEquals": {"aws:SourceArn": "arn:aws:events:*:1:rule/r"}},
        {"aws:sourcearn": "arn:aws:events:x:1:rule/r"},
        True,
    ),
    (
        {"ArnLike": {"aws:SourceArn": "arn:aws:*:rule/r"}},
        {"aws:sourcearn": "arn:aws:events:x:1:rule/r"},
        False,
    ),
    (
        {"ArnNotLike": {"aws:SourceArn": "arn:aws:events:x:1:rule/*"}},
        {"aws:sourcearn": "arn:aws:events:x:1:rule/r"},
        False,
    ),
    ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:tagkeys": ["a", "b"]}, True),
    ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}}, {}, False),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, {"aws:tagkeys": ["a", "b"]}, False),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, {"aws:tagkeys": ["a", "b"]}, True),
    ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}}, {}, True),
    ({"ForAllValues:StringNotEquals": {"aws:TagKeys": ["x"]}}, {"aws:tagkeys": ["a", "x"]}, False),
    ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": ["x"]}}, {"aws:tagkeys": ["a", "x"]}, True),
    ({"StringEquals": {"s3:prefix": "a", "s3:delimiter": "/"}}, {"s3:prefix": "a"}, False),
    (
        {"StringEquals": {"s3:prefix": "a"}, "Bool": {"aws:SecureTransport": "true"}},
        {"s3:prefix": "a", "aws:securetransport": "false"},
        False,
    ),
]


@pytest.mark.parametrize(("condition", "context", "is_allowed"), CONDITIONS)
def test_a_condition_holds_as_its_operators_say(
    condition: dict[str, Any], context: dict[str, Any], is_allowed: bool
) -> None:
    assert allows(statement(Condition=condition), **context) is is_allowed


@pytest.mark.parametrize(
    ("elements", "named"),
    [
        (
            {"Condition": {"StringAlmost": {"s3:prefix": "a"}}},
            "operator StringAlmost",
        ),
        ({"Condition": {"Most:StringLike": {"s3:prefix": "a"}}}, "operator Most:StringLike"),
        (
            {"Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}}},
            "aws:ResourceTag/team",
        ),
        ({"Elsewhere": "x"}, "the policy element Elsewhere"),
    ],
)
def test_what_it_does_not_know_is_refused_by_its_name(elements: Any, named: str) -> None:
    decision = ask(Policies([policy(statement(), statement(**elements))]))
    assert decision.allowed  # the statement beside it is enough, as long as it comes first
    alone = ask(Policies([policy(statement(**elements))]), **{"s3__prefix": "a"})
    assert not alone.allowed
    assert named in alone.because
    denying = policy(statement(Effect="Deny", **elements))
    assert not ask(Policies([policy(statement()), denying]), **{"s3__prefix": "a"}).allowed


def test_nothing_is_allowed_without_a_statement_that_allows_it() -> None:
    decision = ask(Policies())
    assert decision.because == "because no identity-based policy allows the s3:GetObject action"


def test_an_explicit_deny_wins_wherever_it_stands() -> None:
    allow, deny = policy(statement()), policy(statement(Effect="Deny", Sid="No"))
    denied = statement(Effect="Deny", Principal="*")
    for policies, kind in (
        (Policies([allow, deny]), "an identity-based policy"),
        (Policies([allow], boundary=deny), "a permissions boundary"),
        (Policies([allow], session=deny), "a session policy"),
        (Policies([allow], resource=policy(denied)), "a resource-based policy"),
    ):
        decision = ask(policies)
        assert (decision.allowed, decision.because) == (False, f"with an explicit deny in {kind}")


def test_a_boundary_and_a_session_policy_cap_what_identity_policies_grant() -> None:
    everything = policy(statement(Action="*", Resource="*"))
    reads = policy(statement(Resource="*"))
    for name, limits in (("boundary", {"boundary": reads}), ("session", {"session": reads})):
        assert ask(Policies([everything], **limits)).allowed
        decision = ask(Policies([everything], **limits), action="s3:PutObject")
        assert not decision.allowed
        assert name in decision.because
        assert not ask(Policies([], **limits)).allowed  # a boundary grants nothing


@pytest.mark.parametrize(
    ("principal", "is_allowed"),
    [
        ("*", True),
        ({"AWS": "*"}, True),
        ({"AWS": ROLE}, True),
        ({"AWS": SESSION}, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, False),  # hands the decision to identity policies
        ({"AWS": ACCOUNT}, False),
        ({"AWS": "arn:aws:iam::210987654321:root"}, False),
        ({"Service": "events.amazonaws.com"}, False),
        ({"Federated": ROLE}, False),
    ],
)
def test_a_resources_policy_alone_lets_the_principals_that_it_names(
    principal: Any, is_allowed: bool
) -> None:
    own = policy(statement(Principal=principal))
    assert ask(Policies([], resource=own)).allowed is is_allowed


def test_a_service_is_let_by_the_resources_policy_and_its_conditions() -> None:
    events = Principal("events.amazonaws.com", ACCOUNT, ("events.amazonaws.com",), "service")
    rule = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/r"
    own = policy(
        statement(
            Principal={"Service": "events.amazonaws.com"},
            Condition={"ArnEquals": {"aws:SourceArn": rule}},
        )
    )
    said: dict[str, Any] = {"principal": events, "aws__SourceArn": rule}
    assert ask(Policies(resource=own), **said).allowed
    assert not ask(Policies(resource=own), **{**said, "aws__SourceArn": rule + "2"}).allowed
    assert not ask(Policies(resource=own), principal=events).allowed
    assert not ask(Policies(), **said).allowed


def test_a_key_needs_its_own_policy_and_the_identitys() -> None:
    root = policy(statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    other = policy(statement(Principal={"AWS": "arn:aws:iam::210987654321:root"}))
    reads = [policy(statement())]
    assert ask(Policies(reads, resource=root, resource_must_agree=True)).allowed
    assert not ask(Policies([], resource=root, resource_must_agree=True)).allowed
    assert not ask(Policies(reads, resource=other, resource_must_agree=True)).allowed
    assert not ask(Policies(reads, resource=None, resource_must_agree=True)).allowed


@given(st.text("ab*?.:/", max_size=12), st.text("ab.:/", max_size=12))
def test_wildcards_match_as_a_direct_computation_does(pattern: str, text: str) -> None:
    assert matches(pattern, text) is fnmatch.fnmatchcase(text, pattern)


@given(st.text(max_size=20), st.text(max_size=5), st.text(max_size=5))
def test_a_variables_value_is_text_whatever_it_holds(value: str, before: str, after: str) -> None:
    quoted = "".join(f"${{{c}}}" if c in "*?$" else c for c in before + "|" + after)
    head, _, tail = quoted.partition("|") if "|" not in before else (quoted, "", "")
    if "|" in before or "{" in before + after or "}" in before + after:
        return
    assert matches(f"{head}${{aws:x}}{tail}", before + value + after, {"aws:x": value})
