"""`pipelines.settings`: base.yaml with one environment over it, or one sentence."""

from pathlib import Path

import pytest

from pipelines.settings import CONFIG_FOLDER, ENVIRONMENTS, SettingsError, load


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_that_the_project_ships_loads(environment: str) -> None:
    assert load(environment).name("training") == f"scones-{environment}-training"


def test_the_environments_differ_only_where_their_files_say_so() -> None:
    local, staging = load("local"), load("staging")
    assert (local.training.spot, staging.training.spot) == (False, True)
    assert local.training.hyperparameters == staging.training.hyperparameters


def test_an_unknown_environment_names_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="'production'; choose one of local, staging, prod"):
        load("production")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("gate: {accuracy: 1.5}", r"gate\.accuracy: Input should be less than or equal to 1"),
        ("gate: {acuracy: 0.9}", r"gate\.acuracy: Extra inputs are not permitted"),
        ("training: {spot: true, max_wait_seconds: 5}", "max_wait_seconds must be at least"),
        ("pipeline: {cache_expires_after: a month}", r"pipeline\.cache_expires_after"),
        ("retraining: {cool_down_hours: 0}", r"retraining\.cool_down_hours"),
        ("retraining: {runs_a_day: 25}", r"retraining\.runs_a_day"),
        ("retraining: {triggers_without_labels: [labels]}", r"retraining\.triggers_without_labels"),
        ("tuning: {ranges: {warm-up: {minimum: 0.1}}}", "give minimum and maximum, or values"),
        ("tuning: {ranges: {square: {minimum: 9, maximum: 4}}}", "minimum is greater than max"),
        ("tuning: {ranges: {square: {minimum: 4, maximum: 4.5}}}", "must both be whole numbers"),
        ("tuning: {strategy: Guess}", r"tuning\.strategy"),
        ("network: {vpc: vpc-12345678}", "give subnets and security_groups too"),
        ("- a list", "must hold a mapping"),
        ("gate: {", "not valid YAML"),
    ],
)
def test_a_wrong_setting_is_refused_by_file_and_member(
    tmp_path: Path, override: str, sentence: str
) -> None:
    (tmp_path / "base.yaml").write_text((CONFIG_FOLDER / "base.yaml").read_text())
    (tmp_path / "local.yaml").write_text(override)
    with pytest.raises(SettingsError, match=sentence) as refused:
        load("local", tmp_path)
    assert "local.yaml" in str(refused.value)
