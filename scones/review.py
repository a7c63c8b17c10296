"""`scones review`: the images that the model was not sure of, and what they really show."""

import io
import sys
import webbrowser
from collections.abc import Iterator
from functools import partial
from typing import Any

import click
import numpy as np
from PIL import Image

from lambdas.serialize_image_data import ImageNotFound
from monitoring.record_preprocessor import CLASSES
from pipelines.resources import Resources, of_stack
from scones import label, labelled
from scones.answered import review_record
from scones.cli import Environment, json_option, pass_environment, print_json
from scones.connection import Connection
from scones.review_page import Page
from scones.review_queue import Item, Review

WIDTH = 64  # characters of a picture, two pixels above each other in each
_KEYS = {"b": "bicycle", "m": "motorcycle", "s": "skip", "q": "quit"}
Json = dict[str, Any]


@click.command()
@click.option("--page", is_flag=True, help="In the browser instead, on a page of this machine.")
@click.option("--open", "show", is_flag=True, help="With --page: open it.")
@click.option("-n", "count", type=click.IntRange(1), default=100, show_default=True)
@json_option
@pass_environment
def review(environment: Environment, page: bool, show: bool, count: int, as_json: bool) -> None:
    """Label the images that the model was not sure of; the next retraining learns from them.

    b: bicycle, m: motorcycle, s: skip, q: quit. What is skipped goes back into the queue. With
    --json nothing is asked: it lists up to N records that nobody has labelled.
    """
    connection = environment.connection
    resources = of_stack(connection.stack_name, connection.client("cloudformation"))
    s3 = connection.client("s3")
    known = {one.inference_id for one in labelled.collected(resources.bucket_name, s3)}
    if as_json:
        print_json(list(_waiting(resources.bucket_name, known, count, s3)))
        return
    with _session(connection, resources, known) as session:
        try:
            _serve(session, show) if page else _ask(session, count)
        finally:
            click.echo(f"{session.labelled} labelled")


def _session(connection: Connection, resources: Resources, known: set[str]) -> Review:
    return Review(
        queue_url=resources.review_queue_url,
        sqs=connection.client("sqs"),
        s3=connection.client("s3"),
        side=connection.settings.deployment.thumbnail_side,
        write=partial(label.keep, connection, resources),
        known=known,
    )


def _waiting(bucket: str, known: set[str], count: int, s3: Any) -> Iterator[Json]:
    """The newest records that have no label. The queue is left alone: a look would count there."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="review/")
    items = [item for page in pages for item in page.get("Contents", [])]
    for item in sorted(items, key=lambda item: item["LastModified"], reverse=True):
        inference_id = item["Key"].removeprefix("review/").removesuffix(".json")
        record = None if inference_id in known else review_record(bucket, inference_id, s3)
        if record and count:
            count -= 1
            yield record


def _ask(session: Review, count: int) -> None:
    """One image after the other, until nothing waits or the person has enough."""
    for _ in range(count):
        item = session.next()
        if item is None:
            click.echo("Nothing waits for review.")
            return
        _show(session, item)
        answer = _answer()
        if answer == "quit":
            return
        if answer in CLASSES:
            session.label(item, answer)
            click.echo(f"  {answer}")


def _show(session: Review, item: Item) -> None:
    try:
        picture = session.image(item)
        click.echo(half_blocks(picture) if sys.stdout.isatty() else "", nl=sys.stdout.isatty())
    except ImageNotFound as error:
        click.echo(f"  {error}")
    said = ", ".join(f"{name} {share:.3f}" for name, share in item.probabilities.items())
    click.echo(f"{item.image_url}\n  {said}; inference {item.inference_id}")


def _answer() -> str:
    """What a key stands for, asked until it is one; the end of the input quits."""
    click.echo("  [b]icycle, [m]otorcycle, [s]kip or [q]uit? ", nl=False)
    while True:
        typed = click.getchar() if sys.stdin.isatty() else sys.stdin.readline()
        if not typed or typed in "\x03\x04":
            return "quit"
        if typed.strip().lower()[:1] in _KEYS and typed.strip():
            click.echo()
            return _KEYS[typed.strip().lower()[:1]]


def _serve(session: Review, show: bool) -> None:
    """Serves the page until Ctrl-C."""
    with Page(session) as page:
        click.echo(f"{page.address}\nCtrl-C ends it and gives back what has no answer.")
        if show:
            webbrowser.open(page.address)
        page.serve()


def half_blocks(image: bytes, width: int = WIDTH) -> str:
    """A picture in text: the upper half of each character in one pixel's colour, the lower in the
    next one's. At most `width` characters wide and half as many lines."""
    with Image.open(io.BytesIO(image), formats=("PNG", "JPEG")) as opened:
        small = opened.convert("RGB")
    scale = width / max(small.size)
    size = (max(1, round(small.width * scale)), max(2, round(small.height * scale / 2) * 2))
    filtered = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    pixels = np.asarray(small.resize(size, filtered))
    lines = []
    for above, below in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]}m\x1b[48;2;{b[0]};{b[1]};{b[2]}m▀"
            for a, b in zip(above, below, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)
