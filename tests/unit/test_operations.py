"""`docs/operations.md` and what it describes cannot drift apart."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
from cfnlint import decode  # type: ignore[import-untyped]  # ships no types

from pipelines.settings import load
from scones import bill

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def alarms() -> set[str]:
    template, _ = decode.decode(str(ROOT / "infra" / "scones.yaml"))
    prefix = "${Project}-${Environment}-"
    named: list[Any] = [
        resource["Properties"]["AlarmName"]["Fn::Sub"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    return {str(name).removeprefix(prefix) for name in named}


def test_every_alarm_has_its_row_and_every_row_its_alarm() -> None:
    table = DOCUMENT.partition("## Alarms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", table, re.MULTILINE)
    assert {name for name, *_ in rows} == alarms()
    assert len(rows) == len(alarms()) == bill.ALARMS


@pytest.mark.parametrize("size", bill.SIZES)
def test_the_months_that_the_document_names_are_what_the_command_computes(size: str) -> None:
    workload = bill.SIZES[size]
    lines = bill.lines(workload, load("prod"), bill.read())
    total = sum(line.dollars for line in lines)
    assert f"| {size} | {workload.requests:,} | {total:,.0f} |" in DOCUMENT


def test_every_command_that_the_document_names_exists() -> None:
    from scones.__main__ import main

    named = re.findall(r"`scones (?:--env \S+ )?([a-z]+)(?: ([a-z]+))?", DOCUMENT)
    assert named
    context = click.Context(main)
    for command, second in named:
        found = main.get_command(context, command)
        assert found is not None, command
        if isinstance(found, click.Group) and second:
            assert second in found.list_commands(context), f"{command} {second}"


def test_the_readme_leads_to_both_documents() -> None:
    for name in ("operations", "threat-model"):
        assert f"(docs/{name}.md)" in README
        assert (ROOT / "docs" / f"{name}.md").is_file()
