"""The README and the command line cannot drift apart."""

import re
from pathlib import Path

import click
import pytest

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def members(group: click.Group) -> dict[str, click.Command]:
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def commands(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    for name, command in members(group).items():
        if isinstance(command, click.Group):
            found += commands(command, f"{prefix}{name} ")
        else:
            found.append(f"{prefix}{name}")
    return found


def documented() -> set[str]:
    """The commands of the README's table: a row may name several of one group."""
    found = set()
    for row in re.findall(r"^\| (`scones .+?) \|", README, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", row)
        words = first.removeprefix("scones ").split()
        group = " ".join(words[:-1])
        found |= {f"{group} {name}".strip() for name in [words[-1], *others]}
    return found


def test_the_readme_lists_every_command_and_no_other() -> None:
    from scones.__main__ import main

    assert documented() == set(commands(main))


def test_every_command_and_option_has_a_help_text() -> None:
    from scones.__main__ import main

    waiting: list[tuple[str, click.Command]] = [("scones", main)]
    while waiting:
        name, command = waiting.pop()
        assert command.help, f"{name} has no help"
        if isinstance(command, click.Group):
            waiting += [(f"{name} {key}", value) for key, value in members(command).items()]


@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_readmes_two_commands_are_targets_of_the_makefile(target: str) -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    assert f"make {target} " in README
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
