"""`scones cost`: what a month of the environment would cost, in three sizes or line by line."""

import dataclasses
import json

import click

from pipelines.settings import Settings
from scones import bill
from scones.cli import Environment, json_option, pass_environment
from scones.screen import table

_SURE = {"aws": "", "other": "another's page", "no": "unconfirmed"}


@click.command()
@click.option("--size", type=click.Choice(list(bill.SIZES)), help="One size, with its quantities.")
@click.option("--requests", type=click.IntRange(0), help="Requests a month, instead of the size's.")
@json_option
@pass_environment
def cost(environment: Environment, size: str, requests: int | None, as_json: bool) -> None:
    """Estimate a month's bill from the settings and the list prices in infra/prices.yaml.

    Three sizes beside each other, or one line by line.
    """
    prices = bill.read()
    if size is None and requests is None:
        _sizes(environment.settings, prices, as_json)
        return
    load = bill.SIZES[size or "small"]
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
    click.echo(_how_sure(lines, prices))


def _sizes(settings: Settings, prices: bill.Prices, as_json: bool) -> None:
    """The bill of each size, a column each."""
    bills = {name: bill.lines(load, settings, prices) for name, load in bill.SIZES.items()}
    totals = {name: sum(line.dollars for line in lines) for name, lines in bills.items()}
    if as_json:
        sizes = {
            name: {
                "requests": bill.SIZES[name].requests,
                "total": round(totals[name], 2),
                "lines": {line.what: round(line.dollars, 2) for line in lines},
            }
            for name, lines in bills.items()
        }
        click.echo(json.dumps({"region": prices.region, "sizes": sizes}))
        return
    # An endpoint of two instances and one of four are one line.
    found = {
        name: {line.what.partition(",")[0] + _rest(line.what): line for line in lines}
        for name, lines in bills.items()
    }
    rows = list(dict.fromkeys(what for lines in found.values() for what in lines))
    table(
        [f"{prices.currency} a month", *found, "price"],
        [["(requests)", *(f"{bill.SIZES[name].requests:,}" for name in found), ""]]
        + [
            [
                what,
                *(
                    f"{lines[what].dollars:,.2f}" if what in lines else ""
                    for lines in found.values()
                ),
                _SURE[next(x[what] for x in found.values() if what in x).price.confirmed],
            ]
            for what in rows
        ]
        + [["total", *(f"{total:,.0f}" for total in totals.values()), ""]],
    )
    click.echo(f"\nIn {prices.region}; `--size` shows one of them with its quantities.")
    click.echo(_how_sure([line for lines in bills.values() for line in lines], prices))


def _rest(what: str) -> str:
    """What follows the comma, unless it counts instances."""
    rest = what.partition(",")[2]
    return "" if "×" in rest or not rest else f",{rest}"


def _how_sure(lines: list[bill.Line], prices: bill.Prices) -> str:
    used = {line.name: line.price.confirmed for line in lines}
    unsure = sum(confirmed != "aws" for confirmed in used.values())
    return (
        f"List prices of {prices.checked}; {unsure} of {len(used)} were not read at AWS:"
        " check each on the page that infra/prices.yaml names."
    )
