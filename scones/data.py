"""`scones data`: from wherever the archive is to the environment's bucket."""

import os
from pathlib import Path

import click

from pipelines.resources import of_stack
from scones.cli import Environment, json_option, pass_environment, print_json
from scones.connection import PROJECT_ROOT
from scones.datasets import Dataset, resolve
from scones.datasets import stage as stage_dataset
from scones.screen import transfer

DATA_HELP = (
    "A path, an s3:// or https:// address, `cifar100` (downloads the official archive) or"
    " `rendered` (images that the project draws). Default: SCONES_DATA, then what is near."
)


@click.group()
def data() -> None:
    """The dataset: stage it where the pipeline reads it."""


@data.command()
@click.option("--data", "source", help=DATA_HELP)
@json_option
@pass_environment
def stage(environment: Environment, source: str | None, as_json: bool) -> None:
    """Find the archive and put it into the bucket; print its address."""
    connection = environment.connection
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    dataset = find(source)
    click.echo(dataset.description, err=as_json)
    with transfer("Staging") as progress:
        uri = stage_dataset(
            dataset,
            bucket=resources.bucket_name,
            s3=connection.client("s3"),
            progress=progress,
        )
    if as_json:
        print_json({"name": dataset.name, "sha256": dataset.sha256, "uri": uri})
    else:
        click.echo(uri)


def find(source: str | None) -> Dataset:
    """The dataset that `--data` names, downloaded or drawn when it has to be."""
    with transfer("Downloading") as progress:
        return resolve(
            source,
            environ=os.environ,
            project_root=PROJECT_ROOT,
            cache=cache_folder(),
            progress=progress,
        )


def cache_folder() -> Path:
    """Where downloads and drawn archives are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scones"
