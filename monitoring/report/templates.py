"""The HTML templates of report and model card, which share their look."""

import base64
from importlib import resources

import jinja2


def template(name: str) -> jinja2.Template:
    """A template below `monitoring/`, such as `report/template.html`; text in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["uri"] = data_uri
    return environment.get_template(name)


def data_uri(content: bytes) -> str:
    """A PNG as an address that needs no other file."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _source(name: str) -> str:
    return resources.files("monitoring").joinpath(name).read_text("utf-8")
