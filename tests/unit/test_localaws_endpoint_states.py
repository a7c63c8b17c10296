"""Endpoints and what they are made of, in this process: states, rules, errors, events.

The instances are real processes with a handler of a few lines.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.errors import ApiError, LimitExceeded, NotImplementedHere, ValidationError
from localaws.hosting.instance import Host
from localaws.hosting.live import Hosting
from localaws.hosting.spec import Limits
from localaws.sagemaker.endpoint_configs import EndpointConfigs
from localaws.sagemaker.endpoints import Endpoints
from localaws.sagemaker.models import Models
from localaws.sagemaker.monitoring_schedules import MonitoringSchedules
from tests.hosting_kit import IMAGE, archive, canary, config_request, model_request, poll
from tests.unit.job_kit import ROLE, Machine, role_credentials

PREFIX = "arn:aws:sagemaker:us-east-1:123456789012"
SLOW = "import time\ntime.sleep(60)"


class Account:
    """SageMaker's endpoints over folders; `alarms` holds the states of CloudWatch alarms."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        context = self.machine.context
        host = Host(context, role_credentials, self.machine.logs, Limits(answer=5, startup=20))
        self.events: list[dict[str, Any]] = []
        self.alarms: dict[str, str] = {}
        self.hosting = Hosting(host)
        self.models = Models(context, role_credentials)
        self.configs = EndpointConfigs(context, self.models)
        self.endpoints = Endpoints(
            context, self.configs, self.hosting, self.events.append, lambda names: self.alarms
        )

    def model(self, name: str, handler: str | None = None, **members: Any) -> None:
        data = archive(name=name) if handler is None else archive(handler, name)
        self.machine.put(f"{name}.tar.gz", data)
        self.models.create_model(model_request(name, ROLE, f"s3://data/{name}.tar.gz", **members))

    def config(self, name: str, model: str, instances: int = 1, **members: Any) -> None:
        self.configs.create_endpoint_config(config_request(name, model, instances, **members))

    def serve(self, config: str, endpoint: str = "ep") -> dict[str, Any]:
        request = {"EndpointName": endpoint, "EndpointConfigName": config}
        self.endpoints.create_endpoint(request)
        return self.settled(endpoint)

    def update(self, config: str, **members: Any) -> None:
        request = {"EndpointName": "ep", "EndpointConfigName": config, **members}
        self.endpoints.update_endpoint(request)

    def settled(self, endpoint: str = "ep") -> dict[str, Any]:
        """Describe, once nothing is under way."""
        settled: dict[str, Any] = poll(lambda: self._settled(endpoint))
        return settled

    def _settled(self, endpoint: str) -> dict[str, Any] | None:
        described = self.endpoints.describe_endpoint({"EndpointName": endpoint})
        return described if described["EndpointStatus"] in ("InService", "Failed") else None

    def ask(self, body: bytes = b"abc", endpoint: str = "ep") -> bytes:
        live = self.hosting.find(endpoint)
        assert live is not None
        instance = live.route().pick_instance("AllTraffic", 10)
        assert instance is not None
        return instance.invoke(body, {}).body

    def statuses(self) -> list[str]:
        kind = "SageMaker Endpoint State Change"
        return [e["detail"]["EndpointStatus"] for e in self.events if e["detail-type"] == kind]

    def close(self) -> None:
        self.endpoints.shutdown()
        self.machine.close()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    account = Account(tmp_path)
    yield account
    account.close()


@pytest.fixture
def serving(account: Account) -> Account:
    """With the endpoint `ep` in service from the configuration and model `one`."""
    account.model("one")
    account.config("one", "one")
    assert account.serve("one")["EndpointStatus"] == "InService"
    return account


# Configurations


def test_a_configuration_is_described_as_created_until_it_is_deleted(account: Account) -> None:
    account.model("one")
    account.config("cfg", "one")
    described = account.configs.describe_endpoint_config({"EndpointConfigName": "cfg"})
    assert described["EndpointConfigArn"] == f"{PREFIX}:endpoint-config/cfg"
    assert described["ProductionVariants"][0]["InitialVariantWeight"] == 1.0
    listed = account.configs.list_endpoint_configs({})["EndpointConfigs"]
    assert [c["EndpointConfigName"] for c in listed] == ["cfg"]
    account.configs.delete_endpoint_config({"EndpointConfigName": "cfg"})
    with pytest.raises(ValidationError, match='Could not find endpoint configuration "arn:'):
        account.configs.describe_endpoint_config({"EndpointConfigName": "cfg"})


def test_a_configuration_of_a_missing_model_or_a_taken_name_is_refused(account: Account) -> None:
    with pytest.raises(ValidationError, match=f'Could not find model "{PREFIX}:model/none"'):
        account.config("cfg", "none")
    account.model("one")
    account.config("cfg", "one")
    with pytest.raises(ValidationError, match="Cannot create already existing endpoint config"):
        account.config("cfg", "one")


@pytest.mark.parametrize(
    "member", ["ServerlessConfig", "ManagedInstanceScaling", "RoutingConfig", "AcceleratorType"]
)
def test_what_a_variant_cannot_have_is_refused_by_name(account: Account, member: str) -> None:
    account.model("one")
    request = config_request("cfg", "one")
    request["ProductionVariants"][0][member] = {"Status": "ENABLED"}
    with pytest.raises(NotImplementedHere, match=member):
        account.configs.create_endpoint_config(request)


# Models


def test_a_model_of_a_registered_version_serves_what_the_version_names(account: Account) -> None:
    account.machine.put("v1.tar.gz", archive(name="version one"))
    registry = account.models._packages
    registry.create_model_package_group({"ModelPackageGroupName": "grp"})
    package = registry.create_model_package(
        {
            "ModelPackageGroupName": "grp",
            "InferenceSpecification": {
                "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://data/v1.tar.gz"}]
            },
        }
    )["ModelPackageArn"]
    container = {"ModelPackageName": package}
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "Containers": [container]}
    account.models.create_model(request)
    assert account.models.describe_model({"ModelName": "m"})["Containers"] == [container]
    account.config("cfg", "m")
    account.serve("cfg")
    assert account.ask() == b'["version one",3]'


def test_a_model_of_a_missing_version_role_or_of_two_containers_is_refused(
    account: Account,
) -> None:
    missing = f"{PREFIX}:model-package/grp/7"
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE}
    with pytest.raises(ValidationError, match=f"ModelPackage {missing} does not exist"):
        account.models.create_model({**request, "PrimaryContainer": {"ModelPackageName": missing}})
    with pytest.raises(NotImplementedHere, match="no inference pipeline"):
        account.models.create_model({**request, "Containers": [{"Image": IMAGE}] * 2})
    with pytest.raises(ValidationError, match="Could not assume role"):
        account.model("one", ExecutionRoleArn=ROLE + "-gone")


def test_an_image_without_a_model_server_is_refused_at_the_endpoint(account: Account) -> None:
    image = IMAGE.replace("pytorch-inference", "pytorch-training")
    request = {
        "ModelName": "m",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"Image": image},
    }
    account.models.create_model(request)
    account.config("cfg", "m")
    with pytest.raises(ValidationError, match="no model server for image"):
        account.endpoints.create_endpoint({"EndpointName": "ep", "EndpointConfigName": "cfg"})


# Creating


def test_an_endpoint_is_created_and_serves(serving: Account) -> None:
    described = serving.settled()
    assert described["EndpointArn"] == f"{PREFIX}:endpoint/ep"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert serving.ask() == b'["one",3]'
    assert serving.statuses() == ["CREATING", "IN_SERVICE"]
    event = serving.events[-1]
    assert event["resources"] == [f"{PREFIX}:endpoint/ep"]
    assert isinstance(event["detail"]["CreationTime"], int)


def test_an_endpoint_of_a_missing_configuration_or_a_taken_name_is_refused(
    serving: Account,
) -> None:
    create = serving.endpoints.create_endpoint
    with pytest.raises(ValidationError, match='Could not find endpoint configuration "arn:'):
        create({"EndpointName": "new", "EndpointConfigName": "none"})
    with pytest.raises(ValidationError, match='Cannot create already existing endpoint "arn:'):
        create({"EndpointName": "ep", "EndpointConfigName": "one"})


def test_more_instances_than_the_machine_can_bear_are_refused(account: Account) -> None:
    account.model("one")
    account.config("many", "one", 9)
    with pytest.raises(LimitExceeded, match="at most 8 instances"):
        account.serve("many")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("def model_fn(model_dir):\n    raise RuntimeError('broken')", "did not pass the ping"),
        ("import nothing_like_this", "did not pass the ping health check"),
    ],
)
def test_a_handler_that_cannot_load_fails_the_endpoint(
    account: Account, handler: str, reason: str
) -> None:
    account.model("one", handler)
    account.config("one", "one")
    failed = account.serve("one")
    assert failed["EndpointStatus"] == "Failed"
    assert failed["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    (stream,) = account.machine.logs.streams
    assert stream[0] == "/aws/sagemaker/Endpoints/ep"
    assert stream[1].startswith("AllTraffic/i-")
    assert any("Error" in line for line in account.machine.logs.streams[stream])
    with pytest.raises(ValidationError, match="Cannot update failed endpoint"):
        account.update("one")


def test_an_archive_that_is_gone_or_corrupt_fails_the_endpoint(account: Account) -> None:
    account.model("one")
    account.config("one", "one")
    account.machine.put("one.tar.gz", b"no archive")
    reason = account.serve("one", "corrupt")["FailureReason"]
    assert reason.startswith('Failed to extract model data archive for container "container_1"')
    (account.machine.context.home.parent / "s3" / "data" / "one.tar.gz").unlink()
    reason = account.serve("one", "gone")["FailureReason"]
    assert reason.startswith('Failed to download model data for container "container_1" from URL')


def test_an_archive_that_leads_out_of_its_folder_is_not_unpacked(account: Account) -> None:
    account.model("one")
    account.machine.put("one.tar.gz", archive(**{"../../escaped": "x"}))
    account.config("one", "one")
    assert "leads out of the archive" in account.serve("one")["FailureReason"]


def test_an_isolated_container_sees_no_network_and_no_credentials(account: Account) -> None:
    look = """
        import os, socket

        def model_fn(model_dir):
            return model_dir

        def predict_fn(data, model):
            keys = sorted(k for k in os.environ if k.startswith("AWS_") and "KEY" in k)
            return [n for _, n in socket.if_nameindex()], keys, model, os.environ["COLOUR"]

        def input_fn(body, content_type):
            return body
    """
    container = {
        "Image": IMAGE,
        "ModelDataUrl": "s3://data/one.tar.gz",
        "Environment": {"COLOUR": "red"},
    }
    account.model("one", look, PrimaryContainer=container)
    account.config("one", "one")
    account.serve("one")
    assert account.ask() == b'[["lo"], [], "/opt/ml/model", "red"]'


def test_a_model_may_be_served_by_two_processes_of_one_instance(account: Account) -> None:
    who = """
        import os

        def model_fn(model_dir):
            return os.getpid()

        def input_fn(body, content_type):
            return body

        def predict_fn(data, model):
            return [model, os.getpid()]
    """
    container = {
        "Image": IMAGE,
        "ModelDataUrl": "s3://data/one.tar.gz",
        "Environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"},
    }
    account.model("one", who, PrimaryContainer=container)
    account.config("one", "one")
    assert account.serve("one")["EndpointStatus"] == "InService"
    loader, server = json.loads(account.ask())
    assert loader != server  # a copy of the process that loaded the model


# Updating


def test_an_update_replaces_the_model(serving: Account) -> None:
    serving.model("two")
    serving.config("two", "two")
    serving.update("two")
    described = serving.settled()
    assert described["EndpointConfigName"] == "two"
    assert "PendingDeploymentSummary" not in described
    assert serving.ask() == b'["two",3]'
    assert serving.statuses()[2:] == ["UPDATING", "IN_SERVICE"]


def test_a_changing_endpoint_refuses_every_other_change(account: Account) -> None:
    account.model("slow", SLOW)
    account.config("slow", "slow")
    request = {"EndpointName": "ep", "EndpointConfigName": "slow"}
    account.endpoints.create_endpoint(request)
    weights = [{"VariantName": "AllTraffic", "DesiredWeight": 2.0}]
    for call, changes in (
        (account.endpoints.update_endpoint, request),
        (account.endpoints.delete_endpoint, {"EndpointName": "ep"}),
        (
            account.endpoints.update_endpoint_weights_and_capacities,
            {"EndpointName": "ep", "DesiredWeightsAndCapacities": weights},
        ),
    ):
        with pytest.raises(ApiError) as caught:
            call(changes)
        expected = f'Cannot update in-progress endpoint "{PREFIX}:endpoint/ep".'
        assert caught.value.message == expected


def test_a_new_model_that_cannot_load_leaves_the_old_one_serving(serving: Account) -> None:
    serving.model("bad", "1/0")
    serving.config("bad", "bad")
    serving.update("bad")
    described = serving.settled()
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == "one"
    assert "did not pass the ping health check" in described["FailureReason"]
    assert serving.ask() == b'["one",3]'
    assert serving.statuses()[2:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]


def test_a_canary_gets_its_share_and_an_alarm_takes_it_back(account: Account) -> None:
    account.model("one")
    account.config("one", "one", 2)
    account.serve("one")
    account.model("two")
    account.config("two", "two", 2)
    account.alarms["errors"] = "OK"
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    account.update("two", DeploymentConfig=canary(wait=3600, **rollback))

    def shared() -> bool:
        names = [account.ask() for _ in range(100)]
        return 20 < names.count(b'["two",3]') < 80

    poll(shared)
    pending = account.endpoints.describe_endpoint({"EndpointName": "ep"})
    (variant,) = pending["PendingDeploymentSummary"]["ProductionVariants"]
    assert variant["VariantStatus"][0]["Status"] == "Baking"
    account.alarms["errors"] = "ALARM"
    described = account.settled()
    assert described["EndpointConfigName"] == "one"
    assert "The CloudWatch alarm errors went into the ALARM state" in described["FailureReason"]
    assert {account.ask() for _ in range(20)} == {b'["one",3]'}
    kinds = {event["detail-type"] for event in account.events}
    assert "SageMaker Endpoint Deployment State Change" in kinds


def test_a_canary_that_stays_quiet_takes_over(account: Account) -> None:
    account.model("one")
    account.config("one", "one", 2)
    account.serve("one")
    account.model("two")
    account.config("two", "two", 2)
    account.update("two", DeploymentConfig=canary(wait=1))
    described = account.settled()
    assert described["EndpointConfigName"] == "two"
    routing = described["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert routing["TrafficRoutingConfiguration"]["Type"] == "CANARY"


def test_an_update_without_a_deployment_config_drops_the_last_one(account: Account) -> None:
    account.model("one")
    account.config("one", "one", 2)
    account.config("again", "one", 2)
    account.serve("one")
    account.update("again", DeploymentConfig=canary(wait=0))
    assert "LastDeploymentConfig" in account.settled()
    account.update("one", RetainDeploymentConfig=True)
    assert "LastDeploymentConfig" in account.settled()
    account.update("again")
    assert "LastDeploymentConfig" not in account.settled()


def test_an_alarm_that_is_not_there_is_refused(serving: Account) -> None:
    alarms = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "none"}]}}
    with pytest.raises(ValidationError, match="Could not find CloudWatch alarms: none"):
        serving.update("one", DeploymentConfig=alarms)
    assert serving.settled()["EndpointStatus"] == "InService"


def test_capacity_and_weight_can_be_changed(serving: Account) -> None:
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 0.5}]
    request = {"EndpointName": "ep", "DesiredWeightsAndCapacities": wanted}
    serving.endpoints.update_endpoint_weights_and_capacities(request)
    (variant,) = serving.settled()["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (2, 0.5)
    live = serving.hosting.find("ep")
    assert live is not None
    assert live.active.count("AllTraffic") == 2
    serving.config("again", "one")
    serving.update("again", RetainAllVariantProperties=True)
    (variant,) = serving.settled()["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2


# Deleting


def test_a_deleted_endpoint_is_gone_with_its_processes(serving: Account) -> None:
    live = serving.hosting.find("ep")
    assert live is not None
    (instance,) = live.active.instances()
    serving.endpoints.delete_endpoint({"EndpointName": "ep"})
    poll(lambda: not serving.endpoints.list_endpoints({})["Endpoints"])
    assert instance.pid is None
    assert not (serving.machine.home / "endpoints" / "ep" / instance.id).exists()
    with pytest.raises(ValidationError, match=f'Could not find endpoint "{PREFIX}:endpoint/ep"'):
        serving.endpoints.describe_endpoint({"EndpointName": "ep"})
    assert serving.statuses()[-1] == "DELETING"


def test_an_endpoint_with_a_schedule_cannot_be_deleted(serving: Account) -> None:
    kind = MonitoringSchedules.__name__
    record = {"MonitoringScheduleName": kind, "EndpointName": "ep"}
    serving.machine.context.store.put("monitoring-schedule", kind, record)
    with pytest.raises(ValidationError, match="it has monitoring schedules: MonitoringSchedules"):
        serving.endpoints.delete_endpoint({"EndpointName": "ep"})


def test_configuration_and_model_may_go_while_the_endpoint_serves(serving: Account) -> None:
    serving.configs.delete_endpoint_config({"EndpointConfigName": "one"})
    serving.models.delete_model({"ModelName": "one"})
    assert serving.ask() == b'["one",3]'
    assert serving.settled()["EndpointConfigName"] == "one"


# Listing


def test_endpoints_are_listed_by_status_and_name(account: Account) -> None:
    account.model("one")
    account.config("one", "one")
    account.model("bad", "1/0")
    account.config("bad", "bad")
    account.serve("one", "good-one")
    account.serve("bad", "bad-one")
    names = lambda **r: [  # noqa: E731  # said three times below
        e["EndpointName"] for e in account.endpoints.list_endpoints(r)["Endpoints"]
    ]
    assert names(StatusEquals="Failed") == ["bad-one"]
    assert names(NameContains="good") == ["good-one"]
    assert names(SortBy="Status", SortOrder="Ascending") == ["bad-one", "good-one"]
