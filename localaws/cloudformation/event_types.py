"""The resource types of events, messages, alarms and schedules."""

import json

from localaws.cloudformation.by_api import Clients, Handler, Made, Properties, call, tags_of
from localaws.delivery.targets import Targets


class Rule:
    """`AWS::Events::Rule`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        targets = properties.get("Targets") or []
        for target in targets:
            lacking = Targets.lacks(target["Arn"])
            if lacking:
                raise ValueError(lacking)
        arn = call("events", "PutRule", {**properties, "Name": name})["RuleArn"]
        if targets:
            request = {"Rule": name, "EventBusName": properties.get("EventBusName"), **properties}
            call("events", "PutTargets", {k: v for k, v in request.items() if v is not None})
        return name, {"Arn": arn}

    def update(self, identity: str, properties: Properties) -> Made:
        wanted = {target["Id"] for target in properties.get("Targets") or []}
        self._remove_targets(identity, properties, wanted)
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        self._remove_targets(identity, properties, set())
        Clients.get("events").delete_rule(Name=identity, **_bus(properties))

    def _remove_targets(self, name: str, properties: Properties, kept: set[str]) -> None:
        client = Clients.get("events")
        found = client.list_targets_by_rule(Rule=name, **_bus(properties))["Targets"]
        gone = [target["Id"] for target in found if target["Id"] not in kept]
        if gone:
            client.remove_targets(Rule=name, Ids=gone, **_bus(properties))


class QueuePolicy:
    """`AWS::SQS::QueuePolicy`, of each queue that it names."""

    def create(self, name: str, properties: Properties) -> Made:
        self._set(properties, json.dumps(properties["PolicyDocument"]))
        return name, {"Id": name}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        self._set(properties, "")

    def _set(self, properties: Properties, policy: str) -> None:
        for url in properties["Queues"]:
            Clients.get("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


class TopicPolicy:
    """`AWS::SNS::TopicPolicy`, of each topic that it names."""

    def create(self, name: str, properties: Properties) -> Made:
        policy = json.dumps(properties["PolicyDocument"])
        for arn in properties["Topics"]:
            Clients.get("sns").set_topic_attributes(
                TopicArn=arn, AttributeName="Policy", AttributeValue=policy
            )
        return name, {"Id": name}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        """A topic always has a policy; its own goes with the topic."""


class Subscription:
    """`AWS::SNS::Subscription`. Ref gives the ARN."""

    _ATTRIBUTES = ("FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy")

    def create(self, name: str, properties: Properties) -> Made:
        if properties["Protocol"] not in ("sqs", "lambda"):
            raise ValueError(f"localaws does not deliver by {properties['Protocol']}.")
        arn = call("sns", "Subscribe", {**properties, "ReturnSubscriptionArn": True})
        return self.update(arn["SubscriptionArn"], properties)

    def update(self, identity: str, properties: Properties) -> Made:
        for attribute in self._ATTRIBUTES:
            value = properties.get(attribute)
            if value is None or str(value).lower() == "false":
                continue  # moto takes the text "false" for true
            text = json.dumps(value) if isinstance(value, dict) else str(value).lower()
            if attribute == "FilterPolicyScope":
                text = str(value)
            Clients.get("sns").set_subscription_attributes(
                SubscriptionArn=identity, AttributeName=attribute, AttributeValue=text
            )
        return identity, {"Arn": identity}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("sns").unsubscribe(SubscriptionArn=identity)


class Alarm:
    """`AWS::CloudWatch::Alarm`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        request = {"ActionsEnabled": True, **properties, "AlarmName": name}
        call("cloudwatch", "PutMetricAlarm", request)
        found = Clients.get("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
        return name, {"Arn": found[0]["AlarmArn"]}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("cloudwatch").delete_alarms(AlarmNames=[identity])


class Dashboard:
    """`AWS::CloudWatch::Dashboard`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        json.loads(properties["DashboardBody"])
        request = {"DashboardName": name, "DashboardBody": properties["DashboardBody"]}
        call("cloudwatch", "PutDashboard", request)
        return name, {}

    def update(self, identity: str, properties: Properties) -> Made:
        return self.create(identity, properties)

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("cloudwatch").delete_dashboards(DashboardNames=[identity])


class Schedule:
    """`AWS::Scheduler::Schedule`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        return self._put("CreateSchedule", name, properties)

    def update(self, identity: str, properties: Properties) -> Made:
        return self._put("UpdateSchedule", identity, {"State": "ENABLED", **properties})

    def delete(self, identity: str, properties: Properties) -> None:
        group = {k: v for k, v in properties.items() if k == "GroupName"}
        Clients.get("scheduler").delete_schedule(Name=identity, **group)

    def _put(self, operation: str, name: str, properties: Properties) -> Made:
        lacking = Targets.lacks(properties["Target"]["Arn"])
        if lacking:
            raise ValueError(lacking)
        made = call("scheduler", operation, {**properties, "Name": name})
        return name, {"Arn": made["ScheduleArn"]}


class ScheduleGroup:
    """`AWS::Scheduler::ScheduleGroup`. Ref gives the name."""

    def create(self, name: str, properties: Properties) -> Made:
        tags = [{"Key": k, "Value": v} for k, v in tags_of(properties).items()]
        made = call("scheduler", "CreateScheduleGroup", {"Name": name, "Tags": tags})
        return name, {"Arn": made["ScheduleGroupArn"]}

    def update(self, identity: str, properties: Properties) -> Made:
        found = Clients.get("scheduler").get_schedule_group(Name=identity)
        return identity, {"Arn": found["Arn"]}

    def delete(self, identity: str, properties: Properties) -> None:
        Clients.get("scheduler").delete_schedule_group(Name=identity)


def _bus(properties: Properties) -> Properties:
    return {k: v for k, v in properties.items() if k == "EventBusName" and v}


HANDLERS: dict[str, Handler] = {
    "AWS::CloudWatch::Alarm": Alarm(),
    "AWS::CloudWatch::Dashboard": Dashboard(),
    "AWS::Events::Rule": Rule(),
    "AWS::SNS::Subscription": Subscription(),
    "AWS::SNS::TopicPolicy": TopicPolicy(),
    "AWS::SQS::QueuePolicy": QueuePolicy(),
    "AWS::Scheduler::Schedule": Schedule(),
    "AWS::Scheduler::ScheduleGroup": ScheduleGroup(),
}
