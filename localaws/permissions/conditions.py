"""Condition blocks: operators over the keys of a request.

All operators and keys of a block must hold; of the values after one key, one is enough (for a
negated operator: none may match). A missing key fails a plain operator and satisfies a negated one;
`IfExists` lets it pass. `ForAllValues` and `ForAnyValue` compare keys of many values.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import base64
import datetime
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from localaws.permissions.patterns import Context, fill, matches

Compare = Callable[[str, str], bool]  # the policy's value, the request's value


class Unsupported(Exception):
    """An element of a policy that localaws does not know, by its name."""


def holds(block: Mapping[str, Mapping[str, Any]], context: Context, variables: bool) -> bool:
    """Whether every operator of a Condition holds. Raises Unsupported."""
    return all(
        _test(
            name,
            key,
            [str(v) if not isinstance(v, bool) else str(v).lower() for v in many(given)],
            context,
            variables,
        )
        for name, keys in block.items()
        for key, given in keys.items()
    )


def many(value: Any) -> list[Any]:
    """A policy may give one thing or a list of them."""
    return value if isinstance(value, list) else [value]


def _test(name: str, key: str, wanted: list[str], context: Context, variables: bool) -> bool:
    qualifier, _, plain = name.rpartition(":")
    base = plain.removesuffix("IfExists")
    present = context.get(key.lower())
    if key.lower() not in context and not _is_known(key):
        raise Unsupported(f"the condition key {key}")
    if plain == "Null":
        return all((present is None) == (value.lower() == "true") for value in wanted)
    if base not in _OPERATORS or qualifier not in ("", "ForAllValues", "ForAnyValue"):
        raise Unsupported(f"the condition operator {name}")
    compare, is_negated = _OPERATORS[base]
    values = [] if present is None else many(present)
    if not values:
        if qualifier:
            return qualifier == "ForAllValues"
        return is_negated or base != plain
    if variables:
        wanted = [v if compare is _like else filled for v in wanted if (filled := fill(v, context))]

    def fits(value: str) -> bool:
        if compare is _like:
            found = any(matches(want, value, context if variables else None) for want in wanted)
        else:
            found = any(_safely(compare, want, value) for want in wanted)
        return found != is_negated

    return (all if qualifier == "ForAllValues" or (is_negated and not qualifier) else any)(
        fits(value) for value in values
    )


def _safely(compare: Compare, wanted: str, value: str) -> bool:
    try:
        return compare(wanted, value)
    except ValueError:  # no number, no date, no address: it matches nothing
        return False


def _like(wanted: str, value: str) -> bool:
    return matches(wanted, value)


def _arn(wanted: str, value: str) -> bool:
    """Each of the six parts by itself, so that a wildcard stays within its part."""
    pattern, parts = wanted.split(":", 5), value.split(":", 5)
    return len(pattern) == len(parts) == 6 and all(map(matches, pattern, parts))


def _ip(wanted: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)


def _moment(text: str) -> float:
    if re.fullmatch(r"\d+(\.\d+)?", text) and len(text) > 4:
        return float(text)
    moment = datetime.datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _ordered(read: Callable[[str], float], relation: Callable[[float, float], bool]) -> Compare:
    return lambda wanted, value: relation(read(value), read(wanted))


def _same_without_case(wanted: str, value: str) -> bool:
    return wanted.lower() == value.lower()


def _same_bytes(wanted: str, value: str) -> bool:
    return base64.b64decode(wanted) == base64.b64decode(value)


_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_OPERATORS: dict[str, tuple[Compare, bool]] = {
    "StringEquals": (operator.eq, False),
    "StringNotEquals": (operator.eq, True),
    "StringEqualsIgnoreCase": (_same_without_case, False),
    "StringNotEqualsIgnoreCase": (_same_without_case, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn, False),
    "ArnLike": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnNotLike": (_arn, True),
    "Bool": (_same_without_case, False),
    "BinaryEquals": (_same_bytes, False),
    "IpAddress": (_ip, False),
    "NotIpAddress": (_ip, True),
    "NumericNotEquals": (_ordered(float, operator.eq), True),
    "DateNotEquals": (_ordered(_moment, operator.eq), True),
    **{
        f"Numeric{name}": (_ordered(float, relation), False)
        for name, relation in _RELATIONS.items()
    },
    **{
        f"Date{name}": (_ordered(_moment, relation), False) for name, relation in _RELATIONS.items()
    },
}

# Keys that localaws sets whenever AWS would: one of these that a request lacks is really absent.
_KNOWN = re.compile(
    r"aws:(SourceArn|SourceAccount|SourceOrgID|SourceOwner|PrincipalTag/.+|RequestTag/.+|TagKeys"
    r"|PrincipalArn|PrincipalAccount|PrincipalType|PrincipalIsAWSService|PrincipalServiceName"
    r"|PrincipalOrgID|PrincipalOrgPaths|SourceVpc|SourceVpce|VpcSourceIp|username|userid|ViaAWSService"
    r"|CalledVia|MultiFactorAuthPresent|MultiFactorAuthAge|FederatedProvider|Referer|SourceIdentity)"
    r"|sts:(ExternalId|RoleSessionName|SourceIdentity)"
    r"|iam:(PassedToService|AWSServiceName|PolicyARN|PermissionsBoundary)"
    r"|s3:(prefix|delimiter|max-keys|versionid|x-amz-.+|signatureversion|signatureAge|authType"
    r"|TlsVersion|RequestObjectTag/.+|RequestObjectTagKeys|object-lock-.+|LocationConstraint)"
    r"|kms:(ViaService|CallerAccount|EncryptionContext:.+|EncryptionContextKeys|GrantIsForAWSResource"
    r"|KeyOrigin|RequestAlias)"
    r"|cloudwatch:(namespace|AlarmActions)"
    r"|sagemaker:(InstanceTypes|VolumeKmsKey|OutputKmsKey|VpcSubnets|VpcSecurityGroupIds"
    r"|NetworkIsolation|InterContainerTrafficEncryption|ModelApprovalStatus|TaggingAction)"
    r"|lambda:(FunctionArn|Principal|Layer|VpcIds|SubnetIds|SecurityGroupIds|FunctionUrlAuthType"
    r"|InvokedViaFunctionUrl)"
    r"|events:(source|detail-type|TargetArn|creatorAccount)"
    r"|cloudformation:(TemplateUrl|RoleArn|ResourceTypes|StackPolicyUrl|ChangeSetName)"
    r"|states:(StateMachineQualifier|HTTPEndpoint|HTTPMethod)",
    re.IGNORECASE,
)


def _is_known(key: str) -> bool:
    return _KNOWN.fullmatch(key) is not None
