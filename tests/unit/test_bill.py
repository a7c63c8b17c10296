"""What a month costs: quantities from the settings, prices from a file, and no price made up."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.settings import Settings, load
from scones import bill
from scones.__main__ import main


def dollars(requests: int, settings: Settings | None = None) -> dict[str, float]:
    workload = bill.Workload(requests=requests, retrainings=0, builds=0)
    lines = bill.lines(workload, settings or load("prod"), bill.read())
    return {line.what: line.dollars for line in lines}


def test_an_idle_environment_pays_for_its_instances_and_little_else() -> None:
    idle = dollars(0)
    hour = bill.read().of("ml.m5.large").price
    assert idle["endpoint, 2 × ml.m5.large"] == pytest.approx(2 * 730 * hour)
    assert "inference workflow" not in idle
    assert sum(idle.values()) - idle["endpoint, 2 × ml.m5.large"] < 25


def test_requests_are_billed_one_by_one() -> None:
    once, twice = dollars(1_000_000), dollars(2_000_000)
    assert once["inference workflow"] == pytest.approx(125)
    for what in ("inference workflow", "functions, time", "logs", "key, calls"):
        assert twice[what] == pytest.approx(2 * once[what])


def test_more_traffic_than_two_instances_bear_asks_for_more() -> None:
    settings = load("prod")
    assert [bill.instances(n, settings) for n in (0, 1_000_000, 50_000_000)] == [2, 2, 4]


def test_the_bill_follows_the_settings() -> None:
    settings = load("prod")
    network = {"subnets": ["subnet-12345678"], "security_groups": ["sg-12345678"]}
    inside = settings.model_copy(update={"network": settings.network.model_copy(update=network)})
    assert "VPC endpoints" not in dollars(0)
    assert dollars(0, inside)["VPC endpoints"] > 30


def test_every_instance_type_of_every_environment_has_a_price() -> None:
    for environment in ("local", "staging", "prod"):
        for workload in bill.SIZES.values():
            assert bill.lines(workload, load(environment), bill.read())


def test_an_instance_without_a_price_is_named() -> None:
    settings = load("prod")
    other = settings.deployment.model_copy(update={"instance_type": "ml.z9.large"})
    with pytest.raises(bill.PricesError, match=r"no price for ml\.z9\.large"):
        dollars(0, settings.model_copy(update={"deployment": other}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("region: {", "cannot be read"),
        ("region: us-east-1", "currency: Field required"),
        (bill.PRICES.read_text("utf-8").replace("0.115", "-1"), "greater than or equal to 0"),
        (bill.PRICES.read_text("utf-8").replace("confirmed: aws", "confirmed: sure"), "confirmed"),
    ],
)
def test_a_file_of_prices_that_is_wrong_is_refused(
    tmp_path: Path, content: str, sentence: str
) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(content)
    with pytest.raises(bill.PricesError, match=sentence):
        bill.read(path)


def test_each_price_has_its_page_at_aws() -> None:
    for price in bill.read().prices.values():
        assert price.page.startswith(("https://aws.amazon.com/", "https://docs.aws.amazon.com/"))


def test_the_command_shows_the_three_sizes_beside_each_other() -> None:
    done = CliRunner().invoke(main, ["--env", "prod", "cost"])
    assert done.exit_code == 0, done.output
    for name, workload in bill.SIZES.items():
        assert name in done.output
        assert f"{workload.requests:,}" in done.output
        total = sum(line.dollars for line in bill.lines(workload, load("prod"), bill.read()))
        assert f"{total:,.0f}" in done.output
    assert "endpoint " in done.output
    assert "×" not in done.output
    assert "check each on the page that infra/prices.yaml names" in done.output


def test_the_command_says_what_is_unconfirmed_and_how_old_the_prices_are() -> None:
    done = CliRunner().invoke(main, ["--env", "prod", "cost", "--requests", "5"])
    assert done.exit_code == 0
    assert "unconfirmed" in done.output
    assert f"List prices of {bill.read().checked}" in done.output
    assert ": 5 requests, 1 retrainings" in done.output
