"""`scones cost`: what a month of the environment would cost, line by line."""

import dataclasses
import json

import click

from scones import bill
from scones.cli import Environment, json_option, pass_environment
from scones.screen import table

_SURE = {"aws": "", "other": "another's page", "no": "unconfirmed"}


@click.command()
@click.option("--size", type=click.Choice(list(bill.SIZES)), default="small", show_default=True)
@click.option("--requests", type=click.IntRange(0), help="Requests a month, instead of the size's.")
@json_option
@pass_environment
def cost(environment: Environment, size: str, requests: int | None, as_json: bool) -> None:
    """Estimate a month's bill from the settings and the list prices in infra/prices.yaml."""
    load, prices = bill.SIZES[size], bill.read()
    if requests is not None:
        load = dataclasses.replace(load, requests=requests)
    lines = bill.lines(load, environment.settings, prices)
    total = sum(line.dollars for line in lines)
    if as_json:
        detail = {line.what: round(line.dollars, 2) for line in lines}
        click.echo(json.dumps({"region": prices.region, "total": round(total, 2), "lines": detail}))
        return
    table(
        ["what", "quantity", "per", f"{prices.currency} a month", "price"],
        [
            [
                x.what,
                f"{x.quantity:,.1f}",
                x.price.per,
                f"{x.dollars:,.2f}",
                _SURE[x.price.confirmed],
            ]
            for x in lines
        ],
    )
    click.echo(
        f"\n{total:,.0f} {prices.currency} a month in {prices.region}: {load.requests:,} requests, "
        f"{load.retrainings} retrainings, {load.builds} builds."
    )
    click.echo(
        f"List prices of {prices.checked} (infra/prices.yaml): check them before you rely on them."
    )
