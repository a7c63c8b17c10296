"""It retrains itself: the whole loop, then a fault in each of its stages, in one environment.

The environment records each decision about a permission, so at the end, when it has lived through
everything, each permission of each role is taken away in turn. The tests run in this order.
"""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from localaws.permissions.record import Entry
from localaws.permissions.usage import of_roles, unused
from scones import source
from tests import deployment_kit as kit
from tests.archives import good_archive
from tests.deployment_kit import BUCKET, NAME, Json
from tests.end_to_end.conftest import ROOT
from tests.end_to_end.dusk_kit import shown
from tests.end_to_end.loop_kit import FLAPS, LABELS, LABELS_RULE, PICTURES, SHORT, Life, Round
from tests.end_to_end.permissions_kit import (
    KEPT,
    MACHINES,
    execute,
    hour,
    live_on,
    reason,
    short,
    without,
)
from tests.end_to_end.stage_faults import FAULTS, built_with
from tests.end_to_end.test_faults import stage
from tests.hosting_kit import poll


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    life = Life(tmp_path_factory.mktemp("life"))
    yield life
    life.user.run("local", "down")


@pytest.fixture(scope="module")
def loop(life: Life) -> Round:
    return life.go_round()


# --- The loop -------------------------------------------------------------------------------------


def test_what_the_model_is_not_sure_of_waits_for_a_person(loop: Round) -> None:
    unsure = [answer for answer in loop.before if answer["verdict"] == "low confidence"]
    assert set(loop.waiting.values()) == {a["image"].partition(f"{BUCKET}/")[2] for a in unsure}
    assert len(unsure) >= LABELS
    assert f"{LABELS} labelled" in loop.reviewed


def test_the_monitoring_finds_that_the_traffic_has_changed(loop: Round) -> None:
    assert loop.drift["records"] >= PICTURES
    assert "confidence" in {violation["feature_name"] for violation in loop.drift["violations"]}


def test_an_alarm_that_rings_and_flaps_twenty_times_starts_one_retraining(loop: Round) -> None:
    assert len(loop.decisions) > FLAPS
    # The labels say that many answers were wrong, so the quality's alarm rings beside the drift's.
    assert {"drift"} <= {row["trigger"] for row in loop.decisions} <= {"drift", "quality"}
    assert [row["decision"] for row in loop.decisions].count("started") == 1
    assert all(row["reason"] for row in loop.decisions)
    assert loop.retraining["outcome"] == {"status": "Succeeded", "reason": ""}


def test_the_retraining_learns_from_the_labels_of_people(loop: Round) -> None:
    found = loop.dataset["labelled"]
    assert found["labels"] == LABELS + 2
    assert found["by_source"]["capture"] == 1
    assert found["by_source"]["review"] >= LABELS - 2  # two may look like a test image
    images = {image["inference_id"]: image["label"] for image in found["images"]}
    assert loop.known in images
    for inference, label in images.items():
        assert inference == loop.known or label == shown(loop.waiting[inference])
    reasons = {case["inference_id"]: case["reason"] for case in found["quarantined"]}
    assert "No image of this inference" in reasons["no-such-inference"]


def test_its_version_says_where_it_comes_from(loop: Round) -> None:
    metadata = loop.package["CustomerMetadataProperties"]
    assert metadata["trigger"] == loop.retraining["trigger"]
    assert metadata["trigger_id"] == loop.retraining["event_id"]
    assert metadata["git_commit"] == source.commit(ROOT)
    assert metadata["labelled_data_url"].startswith(f"s3://{BUCKET}/labelled/")


def test_the_retrained_model_is_better_on_the_same_images_and_serves(
    life: Life, loop: Round
) -> None:
    after = loop.evaluation["binary_classification_metrics"]["accuracy"]["value"]
    assert after > loop.evaluation["production"]["accuracy"]
    assert life.state()["package"] == loop.package["ModelPackageArn"]
    assert right(loop.after) / len(loop.after) > right(loop.before) / len(loop.before)


def right(answers: list[dict[str, str]]) -> int:
    """How many are sure, and of the right class."""
    sure = [answer for answer in answers if answer["verdict"] == "sure"]
    return sum(answer["predicted_class"] == shown(answer["image"]) for answer in sure)


# --- A fault in each stage ------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_a_retraining_that_fails_says_why_and_what_serves_serves_on(
    life: Life, loop: Round, fault: str
) -> None:
    inject, sentence = FAULTS[fault]
    before = life.state()
    with inject(life):
        outcome = life.retrain()["outcome"]
    assert outcome["status"] == "Failed"
    assert re.fullmatch(f".*{sentence}.*", outcome["reason"]), outcome["reason"]
    assert life.state() == before


def test_a_label_that_contradicts_another_stays_out_and_a_bad_model_ends_at_the_gate(
    life: Life, loop: Round
) -> None:
    label = loop.dataset["labelled"]["images"][0]
    (other,) = {"bicycle", "motorcycle"} - {label["label"]}
    life.user.ok("label", label["inference_id"], other)
    before = life.state()
    with built_with(SCONES_START_OPTIONS="-p Epochs=2 -p AccuracyThreshold=1.1")(life):
        outcome = life.retrain()["outcome"]
    assert outcome["status"] == "Failed"
    assert re.search("AccuracyTooLow.*threshold 1.1", outcome["reason"])
    quarantined = life.dataset()["labelled"]["quarantined"]
    reasons = {case["inference_id"]: case["reason"] for case in quarantined}
    assert "two ways" in reasons[label["inference_id"]]
    assert life.state() == before


def test_a_version_that_fails_its_smoke_test_is_taken_back(life: Life, loop: Round) -> None:
    before = life.state()
    version = life.site.register(kit.RAISES)
    shown = life.site.deploy(version)
    assert shown["status"] == "FAILED"
    assert "out of ideas" in shown["reason"]
    assert shown["reason"].endswith("Version 3 serves.")
    assert life.state() == before | {"versions": [*before["versions"], life.site.arn(version)]}


def test_a_monitoring_that_fails_says_why_and_rings_nothing(life: Life, loop: Round) -> None:
    before, decisions = life.state(), life.decided("drift")
    life.site.put(f"capture/{NAME}/AllTraffic/2020/02/29/10/cut.jsonl", b'{"captureData": {\n' * 9)
    hour = ("--start", "2020-02-29T10:00", "--end", "2020-02-29T11:00")
    command = life.user.run("monitor", "run", *hour)
    assert command.exit_code == 1
    assert re.search("scones: .*(captured|record)", command.err), command.err
    assert life.decided("drift") == decisions
    assert life.state() == before


def test_labels_and_people_ask_in_the_same_place(life: Life, loop: Round) -> None:
    life.client("events").enable_rule(Name=LABELS_RULE)
    life.user.ok("label", "another", "bicycle")
    poll(lambda: life.decided("labels"), 60)
    life.client("events").disable_rule(Name=LABELS_RULE)
    refused = life.user.run("retraining", "start")
    assert refused.exit_code == 1
    assert "Nothing was started: " in refused.err
    rows = life.user.run("retraining", "list", "--json", "-n", "2").json
    assert {row["trigger"] for row in rows} == {"labels", "manual"}
    for row in rows:
        assert row["decision"] == "suppressed"
        assert re.search("the next may at|were labelled since", row["reason"])


def test_after_all_this_the_next_retraining_is_held_against_what_serves(
    life: Life, loop: Round
) -> None:
    with built_with(SCONES_START_OPTIONS=f"{SHORT} -p ProductionTolerance=1")(life):
        asked = life.user.run("retraining", "start", "--force", "--json").json
        life.await_retraining(asked["execution_id"])
    assert life.package()["CustomerMetadataProperties"]["trigger"] == "manual"
    serving = life.state()["package"]
    assert serving == loop.package["ModelPackageArn"]
    assert life.evaluation()["production"]["model_package_arn"] == serving


def test_a_retrained_version_that_is_rejected_makes_room_for_the_one_before(
    life: Life, loop: Round
) -> None:
    life.site.decide(3, "Rejected")
    life.site.settle(3, 2)
    assert life.state()["package"] == life.site.arn(2)


def test_an_event_that_nobody_can_handle_lies_in_the_dead_letter_queue(
    life: Life, loop: Round
) -> None:
    functions = ("modelPackageChanged", "startMonitoring", "publishMonitoring", "requestRetraining")
    life.site.dead_letters()
    for name in functions:
        life.client("lambda").invoke(
            FunctionName=f"{NAME}-{name}",
            InvocationType="Event",
            Payload=json.dumps({"source": "aws.sagemaker", "detail": {}}),
        )
    letters: list[Json] = []

    def all_there() -> bool:
        letters.extend(life.site.dead_letters())
        return len(letters) >= len(functions)

    poll(all_there, 60)
    assert all(letter["responsePayload"]["errorMessage"] for letter in letters)


# --- Permissions ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries(life: Life, loop: Round) -> list[Entry]:
    """What all roles have asked for in a whole life."""
    live_on(life)
    return life.entries()


def test_no_role_asks_for_what_it_may_not(entries: list[Entry]) -> None:
    refused = {(e.principal, e.action, e.resource, e.by) for e in entries if not e.allowed}
    taken = f"{NAME}-PipelineRole-", "sagemaker:CreateModelPackage"  # by a fault above
    assert {ask for ask in refused if taken[0] not in ask[0] or taken[1] != ask[1]} == set()


def test_without_any_one_permission_something_fails(life: Life, entries: list[Entry]) -> None:
    roles = of_roles(life.client("iam"), f"{NAME}-")
    assert len(roles) >= 24
    found = unused(roles, entries)
    told = sorted(
        f"{short(permission.policy)}: {permission.sid} {permission.value}"
        for permission in found
        if reason(permission) is None
    )
    assert told == [], "nothing fails without these: take them out of the template"


def test_a_permission_that_is_kept_for_a_reason_is_not_needed_here(
    life: Life, entries: list[Entry]
) -> None:
    roles = of_roles(life.client("iam"), f"{NAME}-")
    found = unused(roles, entries)
    reasons = {reason(permission) for permission in found}
    assert {why for why in KEPT.values() if why not in reasons} == set(), "take these out"


def pipeline_reason(life: Life) -> str:
    """Why a training with another archive fails."""
    other = good_archive(life.folder / "third.tar.gz", train=58)
    url = stage(life.user, other)
    command = life.user.run("pipeline", "start", "--wait", "--data-url", url)
    assert command.exit_code == 1
    return command.err


def workflow_cause(life: Life) -> str:
    """Why the classification of a picture fails."""
    picture = {"s3_bucket": BUCKET, "s3_key": "executions/by-hand/test/bicycle.png"}
    ended = execute(life, f"{MACHINES}-inference:live", picture)
    assert ended["status"] == "FAILED"
    return json.dumps({name: ended.get(name) for name in ("error", "cause")})


def dead_letter(life: Life) -> str:
    """What the Scheduler leaves when it cannot call the function."""
    life.site.dead_letters()
    hour(life, "monitoring", "MonitoringHourRole")
    sqs = life.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{NAME}-dead-letters")["QueueUrl"]

    def look() -> list[Json]:
        found: list[Json] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get(
            "Messages", []
        )
        return found

    (letter,) = poll(look, 30)
    return str(letter["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"])


@pytest.mark.parametrize(
    ("role", "action", "told"),
    [
        ("PrepareRole", "s3:GetObject", pipeline_reason),
        ("PrepareRole", "s3:PutObject", pipeline_reason),
        ("InferenceRole", "lambda:InvokeFunction", workflow_cause),
        ("ImageClassificationRole", "sagemaker:InvokeEndpoint", workflow_cause),
        ("MonitoringHourRole", "lambda:InvokeFunction", dead_letter),
    ],
)
def test_what_is_taken_away_fails_with_the_words_of_aws(
    life: Life, entries: list[Entry], role: str, action: str, told: Callable[[Life], str]
) -> None:
    with without(life, role, action):
        sentence = told(life)
    assert f"assumed-role/{NAME}-{role}-" in sentence
    assert f"is not authorized to perform: {action} on resource: " in sentence
