"""The root of the command line: the options that all commands share, and how errors end."""

import importlib
import json
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from botocore.exceptions import ClientError

from monitoring.ground_truth import GroundTruthError
from pipelines.check import DefinitionError
from pipelines.execution import ExecutionError
from pipelines.registry import RegistryError
from pipelines.resources import ResourcesError
from pipelines.settings import ENVIRONMENTS, Settings, SettingsError, load
from scones.bill import PricesError
from scones.connection import Connection, NotConnected, connect
from scones.datasets import DatasetError
from scones.package import PackagingError
from scones.parameters import ParameterError
from scones.stack import StackError

F = TypeVar("F", bound=Callable[..., Any])
DONE, FAILED, WRONG_INPUT, NOT_REACHED, INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CODES: dict[type[Exception], int] = {
    ExecutionError: FAILED,
    StackError: FAILED,
    PackagingError: FAILED,
    DatasetError: WRONG_INPUT,
    GroundTruthError: WRONG_INPUT,
    DefinitionError: WRONG_INPUT,
    RegistryError: WRONG_INPUT,
    ParameterError: WRONG_INPUT,
    PricesError: WRONG_INPUT,
    SettingsError: WRONG_INPUT,
    NotConnected: NOT_REACHED,
    ResourcesError: NOT_REACHED,
}


class SconesGroup(click.Group):
    """A group whose commands end with one sentence and an exit code, never with a traceback.

    `places` says where each command is, as "module:name". It is imported when it is asked for: the
    report alone takes a second to load, and most commands draw nothing.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.places: dict[str, str] = {}

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*self.places, *super().list_commands(context)])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.places:
            return super().get_command(context, name)
        module, _, attribute = self.places[name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except tuple(EXIT_CODES) as error:
            fail(str(error), EXIT_CODES[type(error)])
        except ClientError as error:  # AWS says what it refused, to whom and why
            fail(str(error), FAILED)
        except KeyboardInterrupt:
            fail("Interrupted.", INTERRUPTED)


class Environment:
    """What `--env` chose; the connection is made when a command first asks for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._connection: Connection | None = None

    @property
    def settings(self) -> Settings:
        return load(self.name)

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self.settings)
        return self._connection


pass_environment = click.make_pass_decorator(Environment)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script.")
open_option = click.option("--open", "show", is_flag=True, help="Open it in the browser.")


def out_option(what: str, folder: str | None = None) -> Callable[[F], F]:
    """`--out`: the folder for `what` the command writes."""
    kind, default = click.Path(file_okay=False, path_type=Path), folder and Path(folder)
    return click.option("--out", type=kind, default=default, show_default=True, help=what)


@click.group(cls=SconesGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--env",
    "environment",
    type=click.Choice(ENVIRONMENTS),
    default="local",
    envvar="SCONES_ENV",
    show_default=True,
    help="Whose configuration, and so which AWS: this machine's or an account's.",
)
@click.version_option(package_name="scones-mlops")
@click.pass_context
def main(context: click.Context, environment: str) -> None:
    """Image classification on Amazon SageMaker that runs itself: bicycle or motorcycle?"""
    context.obj = Environment(environment)


def fail(sentence: str, exit_code: int) -> NoReturn:
    """Ends the program with one sentence on stderr."""
    click.echo(f"scones: {sentence}", err=True)
    sys.exit(exit_code)


def open_in_browser(path: Path) -> None:
    if not webbrowser.open(path.resolve().as_uri()):
        fail("There is no browser here; open the file by hand.", FAILED)


def print_json(value: Any) -> None:
    """For `--json`: times as ISO 8601, everything else as it is."""
    click.echo(json.dumps(value, indent=2, default=lambda item: item.isoformat()))
