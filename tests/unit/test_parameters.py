"""A setting that the template does not allow is refused before anything is packed or called."""

from pathlib import Path
from typing import Any

import boto3
import pytest

from pipelines.settings import ENVIRONMENTS, load
from scones import parameters, stack
from scones.connection import Connection

TEMPLATE = stack.TEMPLATE


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_settings_of_every_environment_are_what_the_template_allows(environment: str) -> None:
    parameters.check(TEMPLATE, stack.from_settings(load(environment)))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("InstanceCount", 0, "InstanceCount is '0', but scones.yaml wants a number at least 1"),
        ("CanaryPercent", 51, "wants a number at least 1 and at most 50"),
        ("PollSeconds", "soon", "wants a number at least 1"),
        ("LogRetentionDays", 8, "wants one of 7, 30, 90, 365"),
        ("Environment", "production", "wants one of local, staging, prod"),
        ("Project", "Scones", "wants a text that matches"),
        ("PermissionsBoundary", "boundary", "wants a text that matches"),
        ("Colour", "red", "has no parameter Colour"),
    ],
)
def test_a_value_out_of_range_is_one_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(parameters.ParameterError, match=sentence) as refused:
        parameters.check(TEMPLATE, {name: value})
    assert "\n" not in str(refused.value)


def test_nothing_is_called_for_a_deployment_that_the_template_would_refuse(tmp_path: Path) -> None:
    """No AWS answers in this test: any call would end in another error."""
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text(TEMPLATE.read_text("utf-8").replace("MaxValue: 50\n", "MaxValue: 10\n"))
    session = boto3.Session("none", "none", region_name="eu-west-1")
    with pytest.raises(parameters.ParameterError, match="at most 10"):
        stack.prepare(Connection(load("prod"), session, "123456789012", 0), narrow)
