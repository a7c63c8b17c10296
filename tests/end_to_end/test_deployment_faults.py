"""A version serves, and something goes wrong with the next one: the good version serves on, nothing
is left over, and one sentence says why. The very first deployment is in
`test_stack_life`.
"""

import datetime
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import deployment_kit as kit
from tests.deployment_kit import NAME, Json, Site, poll


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = kit.start(tmp_path_factory.mktemp("user"))
    yield site
    site.user.run("local", "down")


@pytest.fixture
def serving(fresh: Site) -> int:
    """The version that serves, proven and alone, whatever the test before has left."""
    served = fresh.workflow_package()
    if served:
        return int(served.rpartition("/")[2])
    version = fresh.register()
    assert fresh.deploy(version)["status"] == "SUCCEEDED"
    fresh.assert_serves(version)
    return version


@pytest.fixture
def site(fresh: Site, serving: int) -> Site:
    return fresh


def at_once(work: Callable[[], Json], times: int = 5) -> list[Json]:
    """Calls `work` in so many threads that start together."""
    barrier = threading.Barrier(times)

    def one(_: int) -> Json:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def rule(site: Site, on: bool) -> None:
    """Holds the registry's events back, or lets them through."""
    events = site.client("events")
    change = events.enable_rule if on else events.disable_rule
    change(Name=f"{NAME}-model-package-changed")


# --- Events ---------------------------------------------------------------------------------------


def test_the_approval_event_five_times_at_once_is_one_deployment(site: Site) -> None:
    version = site.register()
    rule(site, on=False)
    site.decide(version)
    outcomes = at_once(lambda: site.deliver(site.event(version)))
    rule(site, on=True)
    assert len({outcome["execution"] for outcome in outcomes}) == 1
    assert site.settle(version)["status"] == "SUCCEEDED"
    assert len(site.executions(version)) == 1
    site.assert_serves(version)


def test_the_approval_event_again_after_the_deployment_changes_nothing(
    site: Site, serving: int
) -> None:
    before = site.executions()
    for _ in range(2):
        answer = site.deliver(site.event(serving))
        assert answer["reason"] == "this decision has its execution"
    assert len(site.executions()) == len(before)
    site.assert_serves(serving)


def test_an_approval_an_hour_late_does_not_undo_a_later_one(site: Site) -> None:
    late, later = site.register(), site.register()
    rule(site, on=False)
    site.decide(late)
    rule(site, on=True)
    assert site.deploy(later)["status"] == "SUCCEEDED"
    hour_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    site.deliver({**site.event(late), "time": f"{hour_ago:%Y-%m-%dT%H:%M:%SZ}"})
    shown = site.settle(late)
    assert shown["status"] == "SUCCEEDED"
    sentence = f"Version {later} serves and was approved later than version {late}."
    assert shown["reason"] == sentence
    site.assert_serves(later)
    assert site.deploy(late)["reason"] is None  # decided anew, it is deployed
    site.assert_serves(late)


def test_an_approval_of_another_group_deploys_nothing(site: Site, serving: int) -> None:
    site.client("sagemaker").create_model_package_group(ModelPackageGroupName="other-team")
    version = site.register(group="other-team")
    before = len(site.executions())
    site.decide(version, group="other-team")
    answer = site.deliver(site.event(version, group="other-team"))
    assert "belongs to group 'other-team'" in answer["reason"]
    assert len(site.executions()) == before
    site.assert_serves(serving)


def test_an_event_that_cannot_be_handled_lies_in_the_dead_letter_queue_with_its_reason(
    site: Site, serving: int
) -> None:
    site.client("lambda").invoke(
        FunctionName=f"{NAME}-modelPackageChanged",
        InvocationType="Event",
        Payload=json.dumps({"source": "aws.sagemaker", "detail": {}}),
    )
    (letter,) = poll(site.dead_letters)
    assert letter["responsePayload"]["errorMessage"] == "The event lacks detail.ModelPackageArn."
    assert letter["requestPayload"]["source"] == "aws.sagemaker"
    site.assert_serves(serving)


# --- Decisions that cross -------------------------------------------------------------------------


def test_an_approval_while_another_version_deploys_waits_for_its_turn(site: Site) -> None:
    first, second = site.register(kit.SLOW), site.register()
    site.decide(first)
    site.await_status("Updating")
    site.decide(second)
    assert "WaitForTurn" in site.settle(second)["states"]
    assert site.settle(first)["status"] == "SUCCEEDED"
    site.assert_serves(second)


def test_the_approval_of_an_older_version_deploys_that_version(site: Site, serving: int) -> None:
    newer = site.register()
    assert site.deploy(newer)["status"] == "SUCCEEDED"
    assert site.deploy(serving)["status"] == "SUCCEEDED"
    site.assert_serves(serving)


def test_approved_rejected_and_approved_within_a_second_it_serves(site: Site) -> None:
    version = site.register()
    for status in ("Approved", "Rejected", "Approved"):
        site.decide(version, status)
    last = site.client("sagemaker").describe_model_package(ModelPackageName=site.arn(version))
    moment = f"{last['LastModifiedTime'].astimezone(datetime.UTC):%Y%m%dT%H%M%S}"
    poll(lambda: any(moment in row["name"] for row in site.executions(version)))
    site.settle(version)
    site.assert_serves(version)


def test_a_rejection_passes_over_an_approved_version_that_never_came_up(site: Site) -> None:
    before, broken, rejected = site.register(), site.register(kit.RAISES), site.register()
    assert site.deploy(before)["status"] == "SUCCEEDED"
    assert site.deploy(broken)["status"] == "FAILED"
    assert site.deploy(rejected)["status"] == "SUCCEEDED"
    site.decide(rejected, "Rejected")
    shown = site.settle(rejected, 2)
    assert (shown["status"], shown["reason"]) == ("SUCCEEDED", None)
    site.assert_serves(before)


# --- Versions that are no good --------------------------------------------------------------------

MODELS = {
    "does not load": (kit.DOES_NOT_LOAD, "did not pass the ping health check"),
    "raises": (kit.RAISES, "The model behind 'scones-local' failed: out of ideas"),
    "the wrong class": (kit.answering("[0.1, 0.9]"), "says 0.900 for motorcycle"),
}


@pytest.mark.parametrize("fault", MODELS)
def test_after_a_version_that_is_no_good_the_one_before_serves(
    site: Site, serving: int, fault: str
) -> None:
    handler, cause = MODELS[fault]
    version = site.register(handler)
    shown = site.deploy(version)
    assert shown["status"] == "FAILED"
    assert cause in shown["reason"]
    assert shown["reason"].endswith(f". Version {serving} serves.")
    site.assert_serves(serving)


def test_errors_during_the_canary_ring_an_alarm_and_the_version_before_serves(
    site: Site, serving: int
) -> None:
    """The canary answers real requests with errors until the alarm on them takes it back."""
    version = site.register(kit.RAISES)
    enough = threading.Event()

    def customers() -> None:
        client = site.user.client("sagemaker-runtime")
        while not enough.wait(0.02):
            try:
                client.invoke_endpoint(EndpointName=NAME, ContentType="image/png", Body=site.image)
            except client.exceptions.ModelError:
                continue

    site.set_bake(30)  # the alarm ends it
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(customers)
        shown = site.deploy(version)
        enough.set()
        asking.result()
    site.set_bake(2)
    assert shown["status"] == "FAILED"
    assert f"The CloudWatch alarm {NAME}-endpoint-errors went into the ALARM" in shown["reason"]
    assert shown["reason"].endswith(f"Version {serving} serves.")
    site.assert_serves(serving)


def test_an_alarm_that_rings_before_the_canary_does_not_block_the_remedy(site: Site) -> None:
    now = datetime.datetime.now(datetime.UTC)
    site.client("cloudwatch").put_metric_data(
        Namespace="Scones",
        MetricData=[
            {
                "MetricName": "LowConfidence",
                "Dimensions": [{"Name": "EndpointName", "Value": NAME}],
                "Timestamp": now - datetime.timedelta(seconds=seconds),
                "Value": 1.0,
            }
            for seconds in (0, 60)
        ],
    )
    alarm = f"{NAME}-low-confidence"
    poll(lambda: state_of(site, alarm) == "ALARM")
    version = site.register()
    assert site.deploy(version)["status"] == "SUCCEEDED"
    assert state_of(site, alarm) == "ALARM"
    site.assert_serves(version)


def state_of(site: Site, alarm: str) -> str:
    found = site.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return str(found[0]["StateValue"])


# --- Hands and kills ------------------------------------------------------------------------------


def test_the_endpoint_deleted_by_hand_is_made_again_by_the_next_approval(site: Site) -> None:
    sagemaker = site.client("sagemaker")
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName=NAME)
    sagemaker.delete_endpoint(EndpointName=NAME)
    poll(lambda: site.endpoint() is None)
    version = site.register()
    assert site.deploy(version)["status"] == "SUCCEEDED"
    site.assert_serves(version)


def test_a_kill_right_after_the_approval_does_not_lose_it(site: Site) -> None:
    version = site.register()
    site.decide(version)
    site.kill_and_restart()
    assert site.settle(version)["status"] == "SUCCEEDED"
    site.assert_serves(version)


def test_a_deployment_goes_on_after_a_kill_and_its_version_serves(site: Site) -> None:
    version = site.register(kit.SLOW)
    site.decide(version)
    site.await_status("Updating")
    site.kill_and_restart()
    assert site.settle(version)["status"] == "SUCCEEDED"
    assert len(site.executions(version)) == 1
    site.assert_serves(version)


def test_a_wrong_version_that_was_in_its_canary_at_a_kill_is_rolled_back_by_its_deployment(
    site: Site, serving: int
) -> None:
    wrong = site.register(kit.answering("[0.1, 0.9]"))
    site.set_bake(5)  # long enough to be seen, also on a busy machine
    site.decide(wrong)
    poll(lambda: site.ask() == [0.1, 0.9])  # it gets requests already
    assert (site.endpoint() or {})["EndpointStatus"] == "Updating"
    site.kill_and_restart()
    site.set_bake(2)
    shown = site.settle(wrong)
    assert shown["status"] == "FAILED"
    assert "says 0.900 for motorcycle" in shown["reason"]
    assert shown["reason"].endswith(f"Version {serving} serves.")
    assert len(site.executions(wrong)) == 1
    site.assert_serves(serving)
