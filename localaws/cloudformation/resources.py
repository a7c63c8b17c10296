"""The properties that moto's resources ignore, set through the service's own API.

`complete` is called after moto made or changed a resource and must leave it as the template says,
whatever it was before; `dismantle` is called before moto deletes one.
"""

import json
from collections.abc import Callable
from typing import Any

from localaws.cloudformation.by_api import Clients, Properties


def complete(kind: str, resource: Any, properties: Properties) -> None:
    """Sets what moto left out."""
    if kind in _COMPLETE:
        _COMPLETE[kind](resource, properties)


def dismantle(kind: str, resource: Any) -> None:
    """Takes back what moto would stumble over. Raises what the service raises."""
    if kind in _DISMANTLE:
        _DISMANTLE[kind](resource)


def _complete_bucket(bucket: Any, properties: Properties) -> None:
    client, name = Clients.get("s3"), bucket.name
    versioning = properties.get("VersioningConfiguration")
    if versioning:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration=versioning)
    _put_or_delete(
        client, "public_access_block", name, PublicAccessBlockConfiguration=_booleans(properties)
    )
    encryption = properties.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration")
    rules = [
        {
            "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            "BucketKeyEnabled": _is_true(rule.get("BucketKeyEnabled", False)),
        }
        for rule in encryption or []
    ]
    _put_or_delete(
        client,
        "bucket_encryption",
        name,
        ServerSideEncryptionConfiguration={"Rules": rules} if rules else None,
    )
    lifecycle = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    if lifecycle:
        client.put_bucket_lifecycle_configuration(
            Bucket=name,
            LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in lifecycle]},
        )
    else:
        client.delete_bucket_lifecycle(Bucket=name)
    _put_or_delete(
        client,
        "bucket_ownership_controls",
        name,
        OwnershipControls=properties.get("OwnershipControls"),
    )
    client.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration=_notifications(properties)
    )


def _notifications(properties: Properties) -> dict[str, Any]:
    """Only EventBridge's. ValueError for a queue, a topic or a function."""
    wanted = properties.get("NotificationConfiguration") or {}
    others = sorted(wanted.keys() - {"EventBridgeConfiguration"})
    if others:
        raise ValueError(f"localaws does not implement {', '.join(others)} of a bucket.")
    # [?] What an empty EventBridgeConfiguration means; its one member is documented as required.
    enabled = (wanted.get("EventBridgeConfiguration") or {}).get("EventBridgeEnabled", False)
    return {"EventBridgeConfiguration": {}} if _is_true(enabled) else {}


def _put_or_delete(client: Any, thing: str, bucket: str, **setting: Any) -> None:
    (value,) = setting.values()
    if value:
        getattr(client, f"put_{thing}")(Bucket=bucket, **setting)
    else:
        getattr(client, f"delete_{thing}")(Bucket=bucket)


def _booleans(properties: Properties) -> dict[str, bool]:
    block = properties.get("PublicAccessBlockConfiguration", {})
    return {name: _is_true(value) for name, value in block.items()}


def _is_true(value: Any) -> bool:
    """A template may write a boolean as a text."""
    return str(value).lower() == "true"


def _lifecycle_rule(rule: Properties) -> dict[str, Any]:
    known = {"Id", "Status", "Prefix", "ExpirationInDays", "NoncurrentVersionExpiration"}
    known |= {"ExpiredObjectDeleteMarker"}
    unknown = sorted(rule.keys() - known - {"AbortIncompleteMultipartUpload"})
    if unknown:
        raise ValueError(f"localaws does not implement {', '.join(unknown)} of a lifecycle rule.")
    made: dict[str, Any] = {
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "Id" in rule:
        made["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    if _is_true(rule.get("ExpiredObjectDeleteMarker", False)):
        made["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if "NoncurrentVersionExpiration" in rule:
        days = int(rule["NoncurrentVersionExpiration"]["NoncurrentDays"])
        made["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    if "AbortIncompleteMultipartUpload" in rule:
        days = int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return made


def _require_empty(bucket: Any) -> None:
    if bucket.keys:
        raise ValueError("The bucket you tried to delete is not empty")


def _complete_role(role: Any, properties: Properties) -> None:
    client, name = Clients.get("iam"), role.name
    trust = json.dumps(properties["AssumeRolePolicyDocument"])
    client.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    client.update_role(
        RoleName=name,
        Description=properties.get("Description", ""),
        MaxSessionDuration=int(properties.get("MaxSessionDuration", 3600)),
    )
    boundary = properties.get("PermissionsBoundary")
    if boundary:
        client.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
    elif "PermissionsBoundary" in client.get_role(RoleName=name)["Role"]:
        client.delete_role_permissions_boundary(RoleName=name)
    wanted = {policy["PolicyName"]: policy for policy in properties.get("Policies", [])}
    for policy in set(client.list_role_policies(RoleName=name)["PolicyNames"]) - wanted.keys():
        client.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy, body in wanted.items():
        document = json.dumps(body["PolicyDocument"])
        client.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=document)
    attached = set(_attached(client, name))
    arns = set(properties.get("ManagedPolicyArns", []))
    for arn in arns - attached:
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    role.managed_by_stack = arns | getattr(role, "managed_by_stack", set())
    for arn in (role.managed_by_stack & attached) - arns:
        client.detach_role_policy(RoleName=name, PolicyArn=arn)


def _attached(client: Any, role: str) -> list[str]:
    pages = client.get_paginator("list_attached_role_policies").paginate(RoleName=role)
    return [policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]]


def _strip_role(role: Any) -> None:
    client = Clients.get("iam")
    for arn in _attached(client, role.name):
        client.detach_role_policy(RoleName=role.name, PolicyArn=arn)


def _complete_managed_policy(policy: Any, properties: Properties) -> None:
    client = Clients.get("iam")
    document = properties["PolicyDocument"]
    current = client.get_policy_version(PolicyArn=policy.arn, VersionId=policy.default_version_id)
    if current["PolicyVersion"]["Document"] != document:
        for version in client.list_policy_versions(PolicyArn=policy.arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                client.delete_policy_version(PolicyArn=policy.arn, VersionId=version["VersionId"])
        client.create_policy_version(
            PolicyArn=policy.arn, PolicyDocument=json.dumps(document), SetAsDefault=True
        )
    roles = set(properties.get("Roles", []))
    entities = client.list_entities_for_policy(PolicyArn=policy.arn)["PolicyRoles"]
    holders = {entity["RoleName"] for entity in entities}
    for role in roles - holders:
        client.attach_role_policy(RoleName=role, PolicyArn=policy.arn)
    for role in holders - roles:
        client.detach_role_policy(RoleName=role, PolicyArn=policy.arn)


def _delete_managed_policy(policy: Any) -> None:
    client = Clients.get("iam")
    for entity in client.list_entities_for_policy(PolicyArn=policy.arn)["PolicyRoles"]:
        client.detach_role_policy(RoleName=entity["RoleName"], PolicyArn=policy.arn)
    for version in client.list_policy_versions(PolicyArn=policy.arn)["Versions"]:
        if not version["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=policy.arn, VersionId=version["VersionId"])
    client.delete_policy(PolicyArn=policy.arn)


def _complete_inline_policy(policy: Any, properties: Properties) -> None:
    document = json.dumps(properties["PolicyDocument"])
    for role in properties.get("Roles", []):
        Clients.get("iam").put_role_policy(
            RoleName=role, PolicyName=properties["PolicyName"], PolicyDocument=document
        )


def _complete_log_group(group: Any, properties: Properties) -> None:
    client, days = Clients.get("logs"), properties.get("RetentionInDays")
    if days:
        client.put_retention_policy(logGroupName=group.name, retentionInDays=int(days))
    else:
        client.delete_retention_policy(logGroupName=group.name)
    group.kms_key_id = properties.get("KmsKeyId")  # moto lacks AssociateKmsKey
    tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    if tags:
        client.tag_log_group(logGroupName=group.name, tags=tags)


def _complete_key(key: Any, properties: Properties) -> None:
    client = Clients.get("kms")
    client.put_key_policy(
        KeyId=key.id, PolicyName="default", Policy=json.dumps(properties["KeyPolicy"])
    )
    client.update_key_description(KeyId=key.id, Description=properties.get("Description", ""))
    if _is_true(properties.get("EnableKeyRotation", False)):
        client.enable_key_rotation(KeyId=key.id)
    else:
        client.disable_key_rotation(KeyId=key.id)
    if _is_true(properties.get("Enabled", True)):
        client.enable_key(KeyId=key.id)
    else:
        client.disable_key(KeyId=key.id)


def _complete_topic(topic: Any, properties: Properties) -> None:
    Clients.get("sns").set_topic_attributes(
        TopicArn=topic.arn,
        AttributeName="KmsMasterKeyId",
        AttributeValue=properties.get("KmsMasterKeyId", ""),
    )


def _complete_queue(queue: Any, properties: Properties) -> None:
    given = {k: v for k, v in properties.items() if k not in ("QueueName", "Tags", "FifoQueue")}
    attributes = {k: json.dumps(v) if isinstance(v, dict) else str(v) for k, v in given.items()}
    if attributes:
        Clients.get("sqs").set_queue_attributes(
            QueueUrl=queue.physical_resource_id, Attributes=attributes
        )


_COMPLETE: dict[str, Callable[[Any, Properties], None]] = {
    "AWS::IAM::ManagedPolicy": _complete_managed_policy,
    "AWS::IAM::Policy": _complete_inline_policy,
    "AWS::IAM::Role": _complete_role,
    "AWS::KMS::Key": _complete_key,
    "AWS::Logs::LogGroup": _complete_log_group,
    "AWS::S3::Bucket": _complete_bucket,
    "AWS::SNS::Topic": _complete_topic,
    "AWS::SQS::Queue": _complete_queue,
}
_DISMANTLE: dict[str, Callable[[Any], None]] = {
    "AWS::IAM::ManagedPolicy": _delete_managed_policy,
    "AWS::IAM::Role": _strip_role,
    "AWS::S3::Bucket": _require_empty,
}
