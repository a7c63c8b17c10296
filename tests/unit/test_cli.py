"""The command line's edges: one sentence and an exit code that means something."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result
from rich.console import Console

from scones import screen
from scones.__main__ import main
from scones.cli import SconesGroup
from scones.screen import Shown

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in a home where nothing runs."""
    for name in ("SCONES_ENV", "SCONES_DATA", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCONES_HOME", str(tmp_path))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, list(arguments), prog_name="scones")

    return run


@pytest.mark.parametrize(
    "command",
    [
        ["deploy"],
        ["data", "stage"],
        ["pipeline", "list"],
        ["pipeline", "start"],
        ["models", "list"],
        ["local", "env"],
    ],
)
def test_without_the_embedded_aws_a_command_says_how_to_start_it(
    scones: Any, command: list[str]
) -> None:
    result = scones(*command)
    assert result.exit_code == 3
    assert "The embedded AWS is not running: start it with `scones local up`." in result.output


def test_data_that_is_not_there_is_wrong_input(scones: Any) -> None:
    result = scones("demo", "--data", "/nowhere/archive.tar.gz")
    assert result.exit_code == 2
    assert "/nowhere/archive.tar.gz is no file that is there" in result.output


def test_the_demo_refuses_an_account(scones: Any) -> None:
    result = scones("--env", "staging", "demo")
    assert result.exit_code == 2
    assert "runs on this machine only" in result.output


def test_an_unknown_environment_lists_those_that_there_are(scones: Any) -> None:
    result = scones("--env", "production", "models", "list")
    assert result.exit_code == 2
    assert "'local', 'staging', 'prod'" in result.output


def test_an_account_without_a_region_is_told_what_to_set(
    scones: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    result = scones("--env", "staging", "models", "list")
    assert result.exit_code == 3
    assert "No AWS region is set" in result.output


def test_status_of_what_does_not_run_is_said_and_is_an_exit_code(scones: Any) -> None:
    result = scones("local", "status")
    assert result.exit_code == 3
    assert "not running" in result.output


def test_what_aws_refuses_ends_with_the_words_of_aws_and_no_traceback() -> None:
    def refused() -> None:
        words = {"Error": {"Code": "AccessDenied", "Message": "Fry may not perform: s3:PutObject"}}
        raise ClientError(words, "PutObject")

    group = SconesGroup(callback=refused, invoke_without_command=True)
    result = CliRunner().invoke(group)
    assert result.exit_code == 1
    assert "Fry may not perform: s3:PutObject" in result.output
    assert "Traceback" not in result.output


def test_a_listing_is_a_table_for_people_and_json_for_a_script(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "console", Console(width=80))
    rows = [{"url": "s3://a/b", "written": datetime(2026, 11, 22, 14, 5, 6, 7), "found": [1, 2]}]
    columns: dict[str, Shown] = {
        "at": "written",
        "found": lambda r: len(r["found"]),
        "where": "url",
    }
    screen.listing(rows, False, columns)
    titles, row = capsys.readouterr().out.splitlines()
    assert titles.split() == ["at", "found", "where"]
    assert row.split() == ["2026-11-22", "14:05:06", "2", "s3://a/b"]
    screen.listing(rows, True, columns)
    assert json.loads(capsys.readouterr().out) == [
        {"url": "s3://a/b", "written": "2026-11-22T14:05:06.000007", "found": [1, 2]}
    ]


def test_a_command_that_looks_at_no_image_starts_without_numpy() -> None:
    modules = ("models", "pipeline", "deployments", "monitor", "retraining", "data", "local")
    program = f"import sys, {', '.join(f'scones.{name}' for name in modules)}\n"
    program += "sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
