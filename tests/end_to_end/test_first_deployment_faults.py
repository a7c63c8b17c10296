"""The very first deployment, and what may go wrong with it: then nothing serves, and one sentence
says why. What may go wrong once a version serves is in `test_deployment_faults`.
"""

from collections.abc import Iterator

import pytest

from tests import deployment_kit as kit
from tests.deployment_kit import BUCKET, IMAGE, Json, Site, answer_of, poll
from tests.hosting_kit import archive


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = kit.start(tmp_path_factory.mktemp("user"))
    yield site
    site.user.run("local", "down")


def assert_refused(site: Site, version: int, shown: Json, cause: str) -> None:
    assert shown["status"] == "FAILED"
    assert shown["reason"].startswith(f"Version {version} was not deployed: ")
    assert cause in shown["reason"]
    assert shown["reason"].endswith(". No version serves.")
    site.assert_nothing_serves()


MODELS = {
    "does not load": (kit.DOES_NOT_LOAD, "did not pass the ping health check"),
    "starts too slowly": (kit.TOO_SLOW, "did not pass the ping health check"),
    "raises": (kit.RAISES, "The model behind 'scones-local' failed: out of ideas"),
    "three numbers": (kit.answering("[0.2, 0.3, 0.5]"), "expected two probabilities"),
    "NaN": (kit.answering("[float('nan'), 0.5]"), "expected two probabilities"),
    "the wrong class": (kit.answering("[0.1, 0.9]"), "says 0.900 for motorcycle"),
}


@pytest.mark.parametrize("fault", MODELS)
def test_a_model_that_is_no_good_leaves_nothing_behind(site: Site, fault: str) -> None:
    handler, cause = MODELS[fault]
    version = site.register(handler)
    assert_refused(site, version, site.deploy(version), cause)


def test_a_package_whose_archive_was_deleted_is_refused(site: Site) -> None:
    version = site.register()
    key = f"executions/scones-local-{version}/model/model.tar.gz"
    site.client("s3").delete_object(Bucket=BUCKET, Key=key)
    assert_refused(site, version, site.deploy(version), f"s3://{BUCKET}/{key}")


def test_a_package_that_names_no_archive_is_refused(site: Site) -> None:
    version = site.register(container={"Image": IMAGE})
    assert_refused(site, version, site.deploy(version), "names no model archive")


@pytest.mark.parametrize("packed", [b"no archive", archive(kit.GOOD)[:100]], ids=["text", "cut"])
def test_a_package_with_a_corrupt_archive_is_refused(site: Site, packed: bytes) -> None:
    version = site.register(packed=packed)
    assert_refused(site, version, site.deploy(version), "valid tar.gz archive")


def test_a_package_without_a_threshold_is_refused(site: Site) -> None:
    version = site.register(confidence_threshold="unknown")
    assert_refused(site, version, site.deploy(version), "confidence_threshold")


def test_after_a_kill_in_the_first_deployment_the_version_comes_up_and_is_proven(
    site: Site,
) -> None:
    version = site.register(kit.SLOW)
    site.decide(version)
    site.await_status("Creating")
    site.kill_and_restart()
    site.await_status("InService")
    assert site.ask() == answer_of(version)
    assert site.settle_after_kill(version)["status"] == "SUCCEEDED"
    site.assert_serves(version)


def test_the_endpoint_deleted_by_hand_is_made_again_by_the_next_approval(site: Site) -> None:
    sagemaker = site.client("sagemaker")
    (serving,) = (int(m.rpartition("v")[2]) for m in site.leftovers()[0])
    version = site.register()
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName=kit.NAME)
    sagemaker.delete_endpoint(EndpointName=kit.NAME)
    poll(lambda: site.endpoint() is None)
    site.decide(serving, "Rejected")
    site.decide(version)
    assert site.settle(version)["status"] == "SUCCEEDED"
    site.assert_serves(version)
